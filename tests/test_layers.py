"""Imports go one way: each room sees only what stands before it on the data's path."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import videoseq

ROOT = Path(__file__).parents[1]
DATA_PATH = """
    errors deadline files machine child_process config old_settings settings_file
    containers transport safe_file av_capture opening timing damage facts frames sampling video shards folder_lock
    inputs packets decoding isolation
    backbones runtimes features feature_store checking
    annotations multilabel label_decoding formats fitting clips splits matching augmentation
    image_augmentation image_clips lanes
    state reduction cells streams model bidirectional components ensemble thresholds losses metrics overview
    checkpoints sequence_module lightning_trainer epochs ranks training finetuning labelled_frames labels label_sets
    bundle label_queue
    sequence_labeler video_labeler labeling evaluation multilabel_evaluation tasks agreement quantization pairs tuning
    measuring recipe sweep line_log journal batch feature_batch worker_process worker workers
    ray_site ray_actor ray_cluster ray_engine report
"""
ORDER = DATA_PATH.split()


def rooms_imported(path: Path) -> set[str]:
    """The rooms of videoseq that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        found |= {parts[1] for name in names if (parts := name.split("."))[0] == "videoseq" and len(parts) > 1}
    return found


def test_every_room_is_in_the_order():
    rooms = {
        path.stem if path.suffix else path.name
        for path in (ROOT / "videoseq").iterdir()
        if not path.name.startswith("_")
    }
    assert rooms - {"py"} == set(ORDER)


@pytest.mark.parametrize("room", ORDER)
def test_a_room_imports_only_what_stands_before_it(room):
    files = [ROOT / "videoseq" / f"{room}.py"]
    if not files[0].exists():
        files = sorted((ROOT / "videoseq" / room).glob("*.py"))
    assert files
    for file in files:
        later = rooms_imported(file) - set(ORDER[: ORDER.index(room) + 1])
        assert not later, f"{file.name} imports {later}"


def test_programs_import_parts_absolutely_and_siblings_relatively():
    for file in (ROOT / "pipelines").glob("*.py"):
        assert "pipelines" not in rooms_imported(file), file.name
        assert "from pipelines" not in file.read_text(encoding="utf-8"), file.name


def test_public_names():
    assert videoseq.__all__ == sorted(videoseq.__all__)
    assert set(videoseq.__all__) == set(videoseq._HOMES)
    for name in videoseq.__all__:
        assert getattr(videoseq, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = videoseq.nonsense


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import videoseq", ("torch", "cv2", "numpy", "pydantic")),
        (
            "import videoseq.inference.model, videoseq.jobs.label_job",
            ("pytorch_lightning", "torchmetrics", "matplotlib", "jinja2", "torchvision"),
        ),
        ("import videoseq.models.causal_rnn", ("pytorch_lightning",)),
        ("import videoseq.jobs.pool", ("torch", "pydantic")),  # their parent would take a core from them
        ("import videoseq.jobs.ray.pool", ("ray", "torch", "pydantic")),
        ("import pipelines.__main__", ("torch", "cv2", "numpy", "pydantic", "matplotlib", "ray")),
    ],
)
def test_what_is_not_needed_is_not_imported(code, absent):
    program = f"import sys; {code}; print([name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
