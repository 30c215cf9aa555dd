"""Settings of earlier versions: users learn the new name."""

from __future__ import annotations

import pytest

from videoseq.config.old_settings import REMOVED, RENAMED, explain_old_name
from videoseq.config.schema import TrainSettings
from videoseq.config.yaml_file import load_settings
from videoseq.errors import ConfigError


@pytest.mark.parametrize("name", [*REMOVED, *RENAMED])
def test_a_user_learns_what_to_do_about_an_old_name(name, tmp_path):
    group, key = name.split(".")
    file = tmp_path / "old.yaml"
    file.write_text(f"{group}: {{{key}: 1}}\n", encoding="utf-8")
    for arguments, where in (((file,), file), ((None, [f"{name}=1"]), "--set")):
        with pytest.raises(ConfigError) as raised:
            load_settings(*arguments)
        assert str(raised.value) == f"{where}: {name}: {explain_old_name(name)}"


def test_no_old_name_is_in_use():
    known = TrainSettings().model_dump()
    for name in [*REMOVED, *RENAMED]:
        group, key = name.split(".")
        assert key not in known[group]
    for name in RENAMED.values():
        group, key = name.split(".")
        assert key in known[group]
