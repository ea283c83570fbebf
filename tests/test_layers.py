"""Imports point upward only, also inside packages, and nothing below the server knows HTTP."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import kaleidobert

ROOT = Path(kaleidobert.__file__).parent
LAYERS = [
    "levels errors files main_process progress pretrained words",
    "data",
    "synthetic",
    "vision",
    "alignment",
    "model",
    "scoring",
    "training",
    "evaluation",
    "export",
    "index",
    "search",
    "server",
    "benchmark",
    "demo",
    "cli",
    "__main__",
]
DOWNLOADS = "kaleidobert.data.downloads"  # of a catalogue's photos: the one client below the server
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names.split()}
CLIENTS = {"kaleidobert.data.downloads": {"http.client"}}  # photos that a catalogue names by address
HTTP = ("fastapi", "starlette", "uvicorn", "http", "httpx", "requests", "urllib3", "aiohttp", "prometheus_client")


def module_name(path: Path) -> str:
    parts = ["kaleidobert", *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imported(source: str, module: str, is_package: bool = False) -> set[str]:
    """Everything that a module's source imports, wherever in it, by its full name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names


def own_imports(module: str) -> set[str]:
    """Modules of the package that a module imports."""
    path = SOURCES[module]
    names = imported(path.read_text(), module, path.name == "__init__.py")
    found = {name if name in SOURCES else name.rpartition(".")[0] for name in names}
    return {name for name in found if name in SOURCES and name != module}


def upward(module: str, names: set[str]) -> set[str]:
    """Of these modules, those of a higher layer than the module's own."""
    own = module.split(".")[1]
    assert own in RANK, f"{own} has no layer yet: give it one in LAYERS"
    layers = {name.split(".")[1] for name in names if name.startswith("kaleidobert.")}
    return {layer for layer in layers if RANK.get(layer, 0) > RANK[own]}


@pytest.mark.parametrize("module", [name for name in SOURCES if name != "kaleidobert"])
def test_a_module_imports_nothing_from_a_higher_layer(module):
    assert upward(module, own_imports(module)) == set()


def test_no_imports_go_in_a_circle():
    """Inside packages, too; the lazy table of the package itself imports nothing until it is asked."""
    graph = {module: own_imports(module) - {"kaleidobert"} for module in SOURCES if module != "kaleidobert"}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle
    assert len(order) == len(SOURCES) - 1 > 100


@pytest.mark.parametrize(
    "module",
    [name for name in SOURCES if RANK.get((name + "..").split(".")[1], 0) < RANK["server"] and name != DOWNLOADS],
)
def test_nothing_below_the_server_knows_http(module):
    names = imported(SOURCES[module].read_text(), module) - CLIENTS.get(module, set())
    assert not {name for name in names if name.split(".")[0] in HTTP}


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
    names = imported(statement, "kaleidobert.vision.patches")
    assert upward("kaleidobert.vision.patches", names) == {"training"}
    assert not upward("kaleidobert.search.ranker", imported(statement, "kaleidobert.search.ranker"))


def test_tests_mirror_the_packages():
    """Every folder of tests is named after a package, but for the shared fixtures, data and the benchmarks."""
    tests = Path(__file__).parent
    folders = {str(path.parent.relative_to(tests)) for path in tests.rglob("test_*.py")} - {".", "benchmarks"}
    packages = {str(path.parent.relative_to(ROOT)) for path in ROOT.rglob("__init__.py")} | {"server/browser"}
    assert folders <= packages
