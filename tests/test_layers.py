"""Imports point to the same layer or a lower one, so each layer can be used and tested without those above."""

import ast
from pathlib import Path

import pytest

import kaleidobert

ROOT = Path(kaleidobert.__file__).parent
LAYERS = [
    "levels errors progress",
    "metrics",
    "data",
    "vision",
    "alignment",
    "model",
    "training",
    "search",
    "demo",
    "cli",
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names.split()} | {"__main__": len(LAYERS)}


def imported(source: str, module: str, is_package: bool = False) -> set[str]:
    """Top-level parts of `kaleidobert` that a module's source imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
            names |= {f"{base}.{alias.name}" for alias in node.names} if base == "kaleidobert" else {base}
    return {name.split(".")[1] for name in names if name.startswith("kaleidobert.")}


def upward(module: str, imports: set[str]) -> set[str]:
    own = module.split(".")[1]
    assert own in RANK, f"{own} has no layer yet: give it one in LAYERS"
    return {name for name in imports if RANK[name] > RANK[own]}


SOURCES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_nothing_from_a_higher_layer(path):
    parts = ["kaleidobert", *path.relative_to(ROOT).with_suffix("").parts]
    is_package = parts[-1] == "__init__"
    module = ".".join(parts[:-1] if is_package else parts)
    assert upward(module, imported(path.read_text(), module, is_package)) == set()


@pytest.mark.parametrize(
    "statement",
    [
        "import kaleidobert.training.trainer",
        "from kaleidobert.training import trainer",
        "from kaleidobert import training",
        "from ..training import trainer",
        "from .. import training",
        "def late():\n    from kaleidobert.training.trainer import KaleidoBertTrainer",
    ],
)
def test_every_form_of_an_upward_import_is_seen(statement):
    assert upward("kaleidobert.vision.patches", imported(statement, "kaleidobert.vision.patches")) == {"training"}
    assert not upward("kaleidobert.index.lancedb_store", imported(statement, "kaleidobert.index.lancedb_store"))


def test_a_package_s_own_relative_imports_start_at_itself():
    assert imported("from .catalogue import write", "kaleidobert.synthetic", is_package=True) == {"data"}
    assert imported("from ..product import Product", "kaleidobert.synthetic.look") == {"data"}
