"""Settings: everything has a default, a wrong name or value is one clear line, and reading a file runs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from videoseq.config.schema import TrainSettings
from videoseq.config.yaml_file import dump_settings, load_settings
from videoseq.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.yaml"


def problem_of(*overrides: str, path: Path | None = None) -> str:
    """The message of the error, which is one line."""
    with pytest.raises(ConfigError) as caught:
        load_settings(path, overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_everything_has_a_default(file):
    assert load_settings() == TrainSettings()
    file.write_text("# nothing but a comment\n", encoding="utf-8")
    assert load_settings(file) == TrainSettings()


def test_a_file_changes_what_it_names_and_nothing_else(file):
    file.write_text("sample_hz: 5\nhead:\n  cell: lstm\ndata:\n  classes: [läuft, ruht]\n", encoding="utf-8")
    read = load_settings(file)
    assert (read.sample_hz, read.head.cell, read.data.classes) == (5.0, "lstm", ("läuft", "ruht"))
    default = TrainSettings()
    assert (read.training, read.backbone, read.head.hidden_size) == (
        default.training,
        default.backbone,
        default.head.hidden_size,
    )


def test_a_group_of_which_every_line_is_commented_out_keeps_its_defaults(file):
    file.write_text("head:\n#  cell: rnn\ntraining:\n  seed: 3\n", encoding="utf-8")
    assert load_settings(file) == load_settings(overrides=["training.seed=3"])


NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=8)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "sample_hz": st.none() | st.floats(1e-9, 1000.0),
        "backbone": st.fixed_dictionaries(
            {"name": NAMES, "weights": st.none() | st.just("a folder/weights: #1.pth"), "allow_download": st.booleans()}
        ),
        "head": st.fixed_dictionaries(
            {"cell": st.sampled_from(["rnn", "gru", "lstm", "none"]), "hidden_size": st.integers(1, 65536)}
        ),
        "data": st.fixed_dictionaries(
            {
                "background": st.none() | NAMES | st.sampled_from(["null", "yes", "1e-4", "2020-01-01", "- a", "~"]),
                "classes": st.none() | st.lists(NAMES, max_size=4),
                "validation_fraction": st.floats(0.0, 1.0, exclude_max=True),
            }
        ),
        "training": st.fixed_dictionaries(
            {"learning_rate": st.floats(1e-300, 1e300), "weight_decay": st.floats(0.0, 1e300), "seed": st.integers(0)}
        ),
    },
)


@settings(max_examples=150)
@given(VALUES)
def test_what_is_dumped_reads_back_equal(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "dumped.yaml"
    dumped = TrainSettings.model_validate(values)
    path.write_text(dump_settings(dumped), encoding="utf-8")
    assert load_settings(path) == dumped


def test_a_dump_names_every_setting():
    text = dump_settings(TrainSettings())
    for group in (
        TrainSettings(),
        *(getattr(TrainSettings(), name) for name in ("backbone", "head", "data", "training")),
    ):
        for name in type(group).model_fields:
            assert f"{name}:" in text


@pytest.mark.parametrize(
    ("content", "where", "nearest"),
    [
        ("sample_hertz: 5", "sample_hertz", "sample_hz"),
        ("traning: {seed: 1}", "traning", "training"),
        ("training: {learning_rat: 1}", "training.learning_rat", "learning_rate"),
        ("head: {cell: gru, hiden_size: 3}", "head.hiden_size", "hidden_size"),
        ("data: {clases: [a, b]}", "data.clases", "classes"),
        ("backbone: {nam: x}", "backbone.nam", "name"),
    ],
)
def test_an_unknown_key_is_an_error_that_names_the_nearest(file, content, where, nearest):
    file.write_text(content, encoding="utf-8")
    message = problem_of(path=file)
    assert message.startswith(f"{file}: {where}: unknown setting (did you mean {nearest!r}?); known here: ")
    assert nearest in message.partition("known here: ")[2].split(", ")


def test_an_unknown_key_that_is_near_none_lists_those_there_are():
    assert problem_of("xyz=1").endswith(
        "xyz: unknown setting; known here: sample_hz, backbone, head, data, training, trainer, decoding"
    )


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("sample_hz=25", lambda s: s.sample_hz == 25.0),
        ("sample_hz=null", lambda s: s.sample_hz is None),
        ("training.learning_rate=1e-4", lambda s: s.training.learning_rate == 0.0001),  # YAML 1.1: a text
        ("training.learning_rate=.5", lambda s: s.training.learning_rate == 0.5),
        ("head.inputs=joint", lambda s: s.head.inputs == "joint"),
        ("head.difference_lags=[2, 5]", lambda s: s.head.difference_lags == (2, 5)),
        ("head.cell=none", lambda s: s.head.cell == "none"),
        ("data.classes=[a, 'b, c']", lambda s: s.data.classes == ("a", "b, c")),
        ("data.background=a=b", lambda s: s.data.background == "a=b"),
        ("backbone.weights=/x/y.pth", lambda s: s.backbone.weights == Path("/x/y.pth")),
        ("decoding={method: hysteresis, margin: 0.2}", lambda s: s.decoding.margin == 0.2),
        ("decoding.method=lag", lambda s: s.decoding.is_tuned),
        ("head={cell: rnn, num_layers: 2}", lambda s: (s.head.cell, s.head.num_layers) == ("rnn", 2)),
    ],
)
def test_an_override_is_yaml_at_a_dotted_key(override, read):
    assert not read(TrainSettings())
    assert read(load_settings(overrides=[override]))


def test_overrides_win_over_the_file_and_the_last_one_over_the_others(file):
    file.write_text("training: {seed: 1, batch_size: 2}\n", encoding="utf-8")
    read = load_settings(
        file, ["training.seed=5", "training.seed=6", "training={patience: 3}", "training.batch_size=4"]
    )
    assert read == load_settings(overrides=["training.patience=3", "training.batch_size=4"])
    assert load_settings(file, ["training.seed=5"]).training.batch_size == 2
    assert load_settings(overrides=["data.background=other", "data.background="]).data.background is None


@pytest.mark.parametrize("override", ["training.seed", "=3", "training..seed=3", ".=1", ""])
def test_an_override_without_key_and_value_is_an_error(override):
    assert problem_of(override) == f"--set: expected key.path=value, got {override!r}"


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("training.batch_size=0", ["training.batch_size", "greater than or equal to 1", "got 0"]),
        ("training.max_epochs=3.5", ["training.max_epochs", "valid integer", "got 3.5"]),
        ("training.learning_rate=fast", ["training.learning_rate", "valid number", "got 'fast'"]),
        ("training.learning_rate=0", ["training.learning_rate", "greater than 0", "got 0"]),
        ("training.learning_rate=.nan", ["training.learning_rate", "finite number", "got nan"]),
        ("data.validation_fraction=1", ["data.validation_fraction", "less than 1", "got 1"]),
        ("sample_hz=0", ["sample_hz", "greater than 0", "got 0"]),
        ("sample_hz=.inf", ["sample_hz", "finite number", "got inf"]),
        (
            "head.cell=transformer",
            ["head.cell", "'rnn', 'gru', 'lstm', 'tcn', 'attention' or 'none'", "got 'transformer'"],
        ),
        ("data.background=[a]", ["data.background", "valid string", "got ['a']"]),
        ("data.classes=walk", ["data.classes", "got 'walk'"]),
        ("data.classes=[yes, no]", ["data.classes.0: expected text, got True; ", 'quote it, as in "no"']),
        ("data.background=off", ["data.background: expected text, got False; ", 'quote it, as in "no"']),
        ("data.classes=[a, 1]", ["data.classes.1: expected text, got 1; ", 'quote it, as in "no"']),
        ("decoding.method=viterbi", ["decoding.method", "'min_duration'", "got 'viterbi'"]),
        ("decoding.margin=0.2", ["decoding.margin: expected the method hysteresis, got none"]),
        ("decoding={method: lag, margin: 0.2}", ["margin: expected the method hysteresis, got lag"]),
        ("decoding={method: lag, delay_seconds: 0.05}", ["delay_seconds: expected a step or more, 0.1 s, got 0.05"]),
        ("head=5", ["head", "got 5"]),
        ("training.seed.x=3", ["training.seed", "got {'x': 3}"]),
        ("training.seed=[1", ["--set training.seed: not valid YAML at line 1"]),
        ("training.seed=2020-13-45", ["training.seed", "2020-13-45"]),  # looks like a date and is none
    ],
)
def test_a_bad_value_is_an_error_that_says_where_and_what(override, parts):
    message = problem_of(override)
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("head.cell=tcn", "head.bidirectional=true"),
            "--set: head.bidirectional: expected one of the cells rnn, gru, lstm, got tcn; "
            "choose one, or set bidirectional=false",
        ),
        (
            ("head.cell=attention", "head.hidden_size=30"),
            "--set: head.hidden_size: expected a multiple of num_heads=4 for attention, got 30",
        ),
        (
            ("head.cell=tcn", "head.num_layers=15"),
            "--set: head.num_layers: expected at most 14 for a tcn, got 15",
        ),
    ],
)
def test_settings_that_are_impossible_together_are_an_error(overrides, message):
    assert problem_of(*overrides) == message


@pytest.mark.parametrize("method", ["min_duration", "lag"])
def test_steps_that_are_counted_have_one_length(method):
    with pytest.raises(ConfigError) as caught:
        load_settings(overrides=["sample_hz=null", f"decoding.method={method}"])
    expected = f"--set: decoding.method: {method} counts steps of one length; expected a sample_hz, got null"
    assert str(caught.value) == expected
    load_settings(overrides=["sample_hz=null", "decoding.method=hysteresis"])


def test_an_override_below_a_value_is_an_error(file):
    file.write_text("head: gru\n", encoding="utf-8")
    assert problem_of("head.cell=rnn", path=file) == "--set: 'head' is a value, not a group of settings"


def test_a_group_expected_is_named_in_words_people_know():
    message = problem_of("head=5")
    assert "headsettings" not in message.lower()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "expected settings as 'key: value' lines, got list"),
        ("just words", "expected settings as 'key: value' lines, got str"),
        ("head:\n  cell: gru\n   hidden_size: 3\n", "not valid YAML at line 3; "),
        ("head: {cell: gru\nsample_hz: 5\n", "not valid YAML at line 2; "),
        ("sample_hz: 5\n\tseed: 1\n", "not valid YAML at line 2; "),
        ("head: \x00\n", "not valid YAML"),
        (b"head: caf\xe9\n", "expected a readable YAML file; "),
        ("1: 2\n", "1: "),
    ],
)
def test_a_file_that_is_no_settings_is_an_error(file, content, message):
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert problem_of(path=file).startswith(f"{file}: {message}")


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    assert problem_of(path=tmp_path / "none.yaml").startswith(f"{tmp_path}/none.yaml: expected a readable YAML file; ")
    assert problem_of(path=tmp_path).startswith(f"{tmp_path}: expected a readable YAML file; ")


def test_a_yaml_tag_runs_nothing(file, tmp_path):
    marker = tmp_path / "marker"
    attacks = [
        f"!!python/object/apply:os.system ['touch {marker}']",
        f"head: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{marker}']]",
        "head: !!python/object:videoseq.config.schema.HeadSettings {cell: rnn}",
        "head: !!python/name:os.system",
    ]
    for attack in attacks:
        file.write_text(f"{attack}\n", encoding="utf-8")
        assert problem_of(path=file).startswith(f"{file}: not valid YAML at line 1; could not determine a constructor")
    assert "constructor" in problem_of(f"head={attacks[0]}")
    assert not marker.exists()


def test_settings_are_frozen():
    read: Any = load_settings()
    for group, name, value in [(read, "sample_hz", 3.0), (read.training, "seed", 1), (read.head, "new", 1)]:
        with pytest.raises(ValidationError):
            setattr(group, name, value)
    assert read == TrainSettings()


def test_a_value_from_python_is_not_blamed_on_the_file(file):
    file.write_text("sample_hz: 5\n")
    with pytest.raises(ConfigError, match=r"^settings: training\.max_epochs: "):
        load_settings(file, {"training.max_epochs": -1})
