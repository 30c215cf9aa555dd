"""Imports go one way: a package imports only what stands above it on the data's path, and no two modules each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import videoseq
from tests.support.packages import LEVEL_OF, ROOT

FILES = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "videoseq").rglob("*.py")}
FILES |= {path: f"videoseq.pipelines.{path.stem}" for path in (ROOT / "pipelines").glob("*.py")}
MODULES = {name.removesuffix(".__init__"): path for path, name in FILES.items()}


def imported(path: Path) -> set[tuple[str, str]]:
    """The modules of videoseq that a file imports, wherever in the file, each with a name taken from it."""
    package = FILES[path].rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = ".".join(filter(None, (package, node.module))) if node.level else node.module or ""
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                found.add((inner, "") if inner in MODULES else (module, alias.name))
    return {(module, name) for module, name in found if module in MODULES}


def part(module: str) -> str:
    """The top-level name that a module belongs to."""
    return module.split(".")[1] if "." in module else "__init__"


def test_every_package_has_its_level():
    names = {path.stem for path in (ROOT / "videoseq").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert names - {"__init__", "__pycache__"} == set(LEVEL_OF)


@pytest.mark.parametrize("name", LEVEL_OF)
def test_a_package_imports_only_what_stands_above_it(name):
    for path, module in FILES.items():
        if part(module) == name:
            others = {part(other) for other, _ in imported(path)} - {name}
            wrong = {other for other in others if LEVEL_OF.get(other, 99) >= LEVEL_OF[name]}
            assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_no_modules_import_each_other():
    graph = {
        name: {module for module, _ in imported(path) if module != name and not name.startswith(f"{module}.")}
        for name, path in MODULES.items()
        if name != "videoseq"  # its names are loaded on first use
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import circle: {error.args[1]}")


def test_no_private_name_leaves_its_package():
    for path, module in FILES.items():
        for other, name in imported(path):
            private = [bit for bit in [*other.split("."), name] if bit.startswith("_") and not bit.startswith("__")]
            assert not private or part(other) == part(module), f"{path.relative_to(ROOT)}: {other} {name}"


def test_programs_import_parts_absolutely_and_siblings_relatively():
    for path in (ROOT / "pipelines").glob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert "from pipelines" not in source, path.name
        assert "from videoseq.pipelines" not in source, path.name


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
            "import videoseq.models.causal_rnn, videoseq.inference.model, videoseq.jobs.run_job",
            ("pytorch_lightning", "torchmetrics", "matplotlib", "jinja2", "torchvision"),
        ),
        ("import videoseq.jobs.pool", ("torch", "pydantic")),  # their parent would take a core from them
        ("import videoseq.jobs.ray.pool", ("ray", "torch", "pydantic")),
        ("import pipelines.__main__", ("torch", "cv2", "numpy", "pydantic", "matplotlib", "ray")),
    ],
)
def test_what_is_not_needed_is_not_imported(code, absent):
    program = f"import sys; {code}; print([name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
