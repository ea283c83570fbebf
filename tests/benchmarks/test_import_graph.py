"""The import graph: relative, nested and type-only imports, and the drawing in docs/architecture.md."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    for name, source in {
        "__init__.py": "",
        "errors.py": "import os\n",
        "data/__init__.py": "from ..errors import InputError\n",
        "data/rows.py": "from . import columns\nfrom .. import errors\n",
        "data/columns.py": "",
        "model/encoder.py": "def late():\n    import shop.data.rows\n",
        "cli/main.py": "from shop.model.encoder import late\nfrom shop import data, errors\n",
        "cli/search.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from shop.server import app\n",
        "server/app.py": "import shopping.data\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(source)
    return root


def test_every_form_of_an_import_is_found(package: Path) -> None:
    graph = import_module("import_graph").package_graph(package)
    cli, data, model = {"model", "data", "errors"}, {"errors"}, {"data"}
    assert graph == {"cli": cli, "data": data, "errors": set(), "model": model, "server": set()}


def test_arrows_that_follow_from_others_are_left_out_and_no_others() -> None:
    benchmark = import_module("import_graph")
    chain = {"a": {"b", "c"}, "b": {"c"}, "c": set()}
    assert benchmark.reduced(chain) == {"a": {"b"}, "b": {"c"}, "c": set()}
    cycle = {"a": {"b", "c"}, "b": {"a", "c"}, "c": set()}
    kept = benchmark.reduced(cycle)
    assert all(benchmark.reachable(kept, part) == benchmark.reachable(cycle, part) for part in cycle)
    assert "a --> b" in benchmark.mermaid(chain) and "a --> c" not in benchmark.mermaid(chain)


def test_a_drawing_is_replaced_and_a_document_without_one_refused(tmp_path: Path) -> None:
    benchmark, document = import_module("import_graph"), tmp_path / "page.md"
    document.write_text("before\n```mermaid\nold\n```\nafter\n")
    benchmark.main(["--write", str(document)])
    text = document.read_text()
    assert text.startswith("before\n```mermaid\ngraph TD\n") and text.endswith("```\nafter\n") and "old" not in text
    document.write_text("none")
    with pytest.raises(SystemExit):
        benchmark.main(["--write", str(document)])


def test_the_architecture_page_shows_the_graph_as_it_is() -> None:
    """If this fails: python benchmarks/import_graph.py --write docs/architecture.md."""
    benchmark = import_module("import_graph")
    assert benchmark.mermaid(benchmark.package_graph(benchmark.PACKAGE)) in (ROOT / "docs/architecture.md").read_text()
