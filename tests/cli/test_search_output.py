"""One search from the command line: the table, the picture and the JSON."""

import json
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from fixtures.shop import Shop, drawn
from kaleidobert.cli.search_output import search_once
from kaleidobert.data.product import open_image
from kaleidobert.errors import InputError
from kaleidobert.index.filters import Filters
from kaleidobert.search.query import Query


def test_search_once_prints_draws_and_writes(shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out, figures = tmp_path / "sheet.png", tmp_path / "hits.json"
    filters = Filters.of({"subcategory": "ellipse"})
    query = Query("red bag", image=open_image(drawn("red", "ellipse")), filters=filters, top=3, why=True, facets=())
    search_once(query, shop.uri, out, None, figures, Console(width=160))
    printed = capsys.readouterr().out
    assert "ellipse bag" in printed and "colour: " in printed and "red bag + photo" in printed
    assert Image.open(out).width > 1000
    written = json.loads(figures.read_text())
    assert [hit["rank"] for hit in written["hits"]] == [1, 2, 3]
    assert {"id", "title", "score", "cosine", "match", "view", "why"} <= written["hits"][0].keys()
    assert {"word", "start", "end", "weight", "patches"} == written["hits"][0]["why"][0].keys()
    assert {"patch", "x1", "y1", "x2", "y2", "weight"} == written["hits"][0]["why"][0]["patches"][0].keys()
    assert written["facets"]["subcategory"] == [{"value": shape, "count": 6} for shape in ("ellipse", "rectangle")]
    assert written["filters"] == ["subcategory=ellipse"] and written["milliseconds"]["rerank"] > 0
    search_once(Query("bag", filters=Filters.of({"colour": "pink"})), shop.uri, console=Console(width=200))
    assert "Nothing found for 'bag'. No product passes the filters" in capsys.readouterr().out
    search_once(Query("bag"), shop.uri, tmp_path / "new" / "sheet.png", None, tmp_path / "new" / "too" / "hits.json")
    assert (tmp_path / "new" / "sheet.png").exists() and (tmp_path / "new" / "too" / "hits.json").exists()
    (tmp_path / "folder.png").mkdir()
    for paths in ((tmp_path / "folder.png",), (None, None, tmp_path)):
        with pytest.raises(InputError, match="cannot be written"):
            search_once(Query("bag"), shop.uri, *paths)
