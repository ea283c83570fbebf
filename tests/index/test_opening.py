"""`open_index` is the only place where search and server meet LanceDB."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import kaleidobert
from kaleidobert.errors import InputError
from kaleidobert.index.lancedb_store import LanceDBIndex
from kaleidobert.index.opening import open_index
from kaleidobert.index.protocol import ProductIndex

ROOT = Path(kaleidobert.__file__).parent


def imported(source: str) -> set[str]:
    """The modules that a source imports."""
    nodes = list(ast.walk(ast.parse(source)))
    direct = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return direct | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize("package", ["search", "server"])
def test_search_and_server_import_nothing_of_lancedb(package: str) -> None:
    sources = sorted((ROOT / package).rglob("*.py"))
    assert len(sources) > 5
    for path in sources:
        assert not [name for name in imported(path.read_text()) if "lancedb" in name], path


def test_open_index_opens_a_store(store: LanceDBIndex) -> None:
    assert open_index(store.uri).info == store.info


@pytest.mark.parametrize("uri", ["", " "])
def test_an_empty_address_is_not_this_folder(uri: str) -> None:
    with pytest.raises(InputError, match="the address of the store is empty"):
        open_index(uri)


def test_implementations_have_every_member_of_the_protocol(index: ProductIndex) -> None:
    members = [name for name in vars(ProductIndex) if not name.startswith("_")]
    assert {"recall", "facets", "upsert"} <= set(members)
    assert [name for name in members if not hasattr(index, name)] == []
