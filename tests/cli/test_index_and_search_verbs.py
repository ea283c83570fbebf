"""`index`, `search` and `serve` from the command line."""

import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from fixtures.shop import Shop
from kaleidobert.cli.index import index
from kaleidobert.cli.search import search
from kaleidobert.cli.serve import serve
from kaleidobert.errors import InputError
from kaleidobert.server.app import listen


def run(verb: Any, *arguments: object) -> Any:
    app = typer.Typer()
    app.command()(verb)
    return CliRunner().invoke(app, [str(each) for each in arguments])


def test_command_line(shop: Shop, new_shop: Shop, catalogue_file: Path) -> None:
    arguments = (catalogue_file, "--model", shop.model_folder, "--store", new_shop.uri, "--batch-size", 8)
    assert "indexed 12 products (12 photos)" in run(index, *arguments).output
    found = run(search, "red bag", "--store", new_shop.uri, "--filter", "colour=red", "--top", 3)
    assert found.exit_code == 0 and "red ellipse bag" in found.output
    assert "Example: kaleidobert search" in run(search, "--help").output


def test_command_line_refuses_in_one_line(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(verb: Any, *arguments: object) -> str:
        error = run(verb, *arguments).exception
        assert isinstance(error, InputError) and "\n" not in str(error)
        return str(error)

    assert "no product store" in refused(search, "a", "--store", tmp_path / "none")
    assert "NAME=VALUE" in refused(search, "a", "--store", shop.uri, "--filter", "red")
    assert "no product store" in refused(serve, "--store", tmp_path / "none", "--port", 0)
    assert "no model" in refused(serve, "--store", shop.uri, "--port", 0, "--model", tmp_path / "none")
    assert "token file" in refused(serve, "--store", shop.uri, "--port", 0, "--token-file", tmp_path / "none")
    assert "no model" in refused(serve, "--store", shop.uri, "--port", 0, "--describe", tmp_path / "none")
    assert "belong together" in refused(serve, "--store", shop.uri, "--ucp", "https://shop.example")
    assert "no such file" in refused(
        index, tmp_path / "none.csv", "--model", shop.model_folder, "--store", tmp_path / "s"
    )
    assert "no model" in refused(index, tmp_path / "none.csv", "--model", tmp_path, "--store", tmp_path / "s")
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert "in use" in refused(serve, "--store", shop.uri, "--port", port)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "kaleidobert.server.app")
    assert "pip install 'kaleidobert[serve]'" in refused(serve, "--store", shop.uri)


def test_a_free_port_can_be_asked_for() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert isinstance(listener, socket.socket) and listener.getsockname()[1] > 0


@pytest.mark.parametrize("damaged", ["products-1.lance/data", "products-1.lance/_versions", "versions.lance/data"])
def test_a_damaged_store_is_named(new_shop: Shop, damaged: str) -> None:
    new_shop.indexer().index(new_shop.products)
    for file in (Path(new_shop.uri) / damaged).iterdir():
        file.write_bytes(b"half")
    error = run(search, "red bag", "--store", new_shop.uri, "--model", new_shop.model_folder).exception
    assert isinstance(error, InputError) and f"the store {new_shop.uri}" in str(error)
    assert "delete it, and index the catalogue again" in str(error) and "\n" not in str(error)


def test_the_hint_is_in_the_catalogue_s_own_words(shop: Shop, new_shop: Shop, catalogue_file: Path) -> None:
    found = run(index, catalogue_file, "--model", shop.model_folder, "--store", new_shop.uri)
    assert f"try: kaleidobert search 'red women' --store {new_shop.uri}" in found.output
    assert f"{catalogue_file}: 12 products of 12 rows" in found.output
