import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console
from shop import Shop, drawn

from kaleidobert.data.product import open_image
from kaleidobert.errors import InputError
from kaleidobert.search.ranking import Ranker
from kaleidobert.search.sheet import result_sheet, result_sheets
from kaleidobert.search.store import Store
from kaleidobert.search.terminal import search_once


@torch.inference_mode()
def brute_force(shop: Shop, ranker: Ranker, query: str) -> dict[str, float]:
    """The combined score of every product's best view by cosine, from photos through the whole model."""
    views = [(product.id, product.open(view)) for product in shop.products for view in range(len(product.images))]
    pixels = ranker.processor(images=[photo for _, photo in views])["pixel_values"]
    text = ranker.processor(text=[query] * len(views))
    cosines = (ranker.model.image_entry(pixels).vectors * ranker.model.text_entry(**text).vectors).sum(dim=-1)
    scores = ranker.model(pixel_values=pixels, **text).scores
    best: dict[str, tuple[float, float]] = {}
    for (product_id, _), cosine, score in zip(views, cosines.tolist(), scores.tolist(), strict=True):
        best[product_id] = max(best.get(product_id, (-1.0, 0.0)), (cosine, score))
    return {product_id: score for product_id, (_, score) in best.items()}


@pytest.mark.parametrize("query", ["red ellipse bag", "black", "something it has never seen"])
def test_reranking_is_the_combined_score_of_the_full_forward_pass(
    shop: Shop, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranker = shop.ranker()
    monkeypatch.setattr(ranker.model.config, "joint_weight", 500.0)  # random, it differs little: let it decide
    hits = ranker.search(query, top=12)
    expected = brute_force(shop, ranker, query)
    assert {hit.product.id: hit.score for hit in hits} == pytest.approx(expected, abs=0.05)  # float16 states
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert [hit.product.id for hit in hits] != [hit.product.id for hit in ranker.search(query, top=12, rerank=0)]


def test_hubs_are_charged_for_in_the_order_by_vectors(shop: Shop) -> None:
    ranker = shop.ranker()
    hits = ranker.search("red bag", top=12, rerank=0)
    own = ranker.model.text_hubness(ranker.model.text_entry(**ranker.processor(text=["red bag"])).vectors).item()
    scores = [hit.cosine - ranker.model.config.hubness_weight * (hit.product.hubness + own) for hit in hits]
    assert [hit.score for hit in hits] == pytest.approx(scores, abs=1e-6)
    assert scores == sorted(scores, reverse=True)
    assert scores != pytest.approx([hit.cosine for hit in hits], abs=1e-3)


def test_the_head_is_reranked_and_the_tail_keeps_its_order(shop: Shop) -> None:
    ranker = shop.ranker()
    by_vector = ranker.search("red bag", top=12, rerank=0)
    hits = ranker.search("red bag", top=12, rerank=4)
    assert {hit.product.id for hit in hits[:4]} == {hit.product.id for hit in by_vector[:4]}
    assert [hit.product.id for hit in hits[4:]] == [hit.product.id for hit in by_vector[4:]]
    assert [hit.match is None for hit in hits] == [False] * 4 + [True] * 8
    assert [hit.rank for hit in hits] == list(range(1, 13))


def test_a_photo_finds_itself(shop: Shop) -> None:
    hits = shop.ranker().search(None, open_image(drawn("green", "rectangle")), top=3)
    assert hits[0].cosine == pytest.approx(1, abs=1e-4)
    assert hits[0].match is None and hits[0].score == hits[0].cosine
    assert hits[0].thumbnail.startswith(b"\xff\xd8")


def test_text_and_photo_search_with_the_normalised_mean(shop: Shop) -> None:
    ranker = shop.ranker()
    photo = open_image(drawn("green", "rectangle"))
    vectors = [ranker._encode(text, image).vector for text, image in (("red", None), ("", photo), ("red", photo))]
    mean = (vectors[0] + vectors[1]) / 2
    assert vectors[2] == pytest.approx(mean / (mean**2).sum() ** 0.5, abs=1e-6)
    assert all(hit.match is not None for hit in ranker.search("red", photo))


def test_filters_narrow_the_answer(shop: Shop) -> None:
    hits = shop.ranker().search("bag", filters={"category": 'Men\'s "best"', "fabric": "it's 100% 'wool'"})
    assert sorted(hit.product.id for hit in hits) == ["p01", "p03"]


def test_an_empty_answer_says_why(shop: Shop) -> None:
    ranker = shop.ranker()
    assert ranker.search("bag", filters={"colour": "Red"}) == []
    assert "case counts" in ranker.why_nothing({"colour": "Red"})
    assert ranker.why_nothing({"color": "red"}) == (
        "No product has 'color'; filters are: category, subcategory, colour, fabric."
    )


@pytest.mark.parametrize("query", [None, "", "  "])
def test_an_empty_query_is_refused(shop: Shop, query: str | None) -> None:
    with pytest.raises(InputError, match="the query is empty"):
        shop.ranker().search(query)


def test_a_store_made_anew_by_another_model_is_refused_at_the_next_query(shop: Shop, other_model_folder: Path) -> None:
    ranker = shop.ranker()
    ranker.store = Store("here", _Other(ranker.store._table, str(other_model_folder)))
    with pytest.raises(InputError, match="re-index"):
        ranker.search("bag")


class _Other:
    """A table whose metadata names another model."""

    def __init__(self, table, folder: str) -> None:
        info = json.loads(table.schema.metadata[b"kaleidobert"])
        named = json.dumps({**info, "fingerprint": "0" * 16, "model": folder}).encode()
        self.schema = table.schema.with_metadata({b"kaleidobert": named})


def test_answers_from_many_threads_are_the_same(shop: Shop) -> None:
    ranker = shop.ranker()
    expected = [hit.product.id for hit in ranker.search("blue ellipse")]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ranker.search("blue ellipse"), range(16)))
    assert all([hit.product.id for hit in hits] == expected for hits in answers)


def test_stages_are_timed(shop: Shop) -> None:
    seconds = shop.ranker().answer("blue ellipse").seconds
    assert list(seconds) == ["encode", "recall", "rerank", "photos"]
    assert all(value > 0 for value in seconds.values())


def test_a_model_that_has_moved_is_asked_for(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model folder at .*gone"):
        Ranker.open(shop.uri, tmp_path / "gone")
    with pytest.raises(InputError, match="it has no config.json"):
        Ranker.open(shop.uri, tmp_path)


def test_sheets_have_a_card_for_every_hit(shop: Shop) -> None:
    hits = shop.ranker().search("blue ellipse", top=7)
    long = replace(hits[0], product=replace(hits[0].product, title="A very long title, " * 20))
    sheet = result_sheet("blue ellipse " * 30, [long, *hits[1:]], columns=5)
    assert sheet.height > result_sheet("blue ellipse", hits[:5]).height
    assert result_sheet("nothing", []).width == sheet.width
    rows = result_sheets([("one", hits), ("two", hits[:2])])
    assert rows.width > sheet.width
    assert sheet.crop((32, 120, 1000, 400)).convert("L").getextrema()[0] < 60  # something is drawn


def test_search_once_prints_draws_and_writes(shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out, figures, photo = tmp_path / "sheet.png", tmp_path / "hits.json", tmp_path / "photo.png"
    photo.write_bytes(drawn("red", "ellipse"))
    search_once("red bag", shop.uri, photo, ["subcategory=ellipse"], 3, 50, out, None, figures, Console(width=120))
    assert "ellipse bag" in capsys.readouterr().out
    assert Image.open(out).width > 1000
    written = json.loads(figures.read_text())
    assert [hit["rank"] for hit in written["hits"]] == [1, 2, 3]
    assert {"id", "title", "score", "cosine", "match", "view"} <= written["hits"][0].keys()
    assert written["filters"] == {"subcategory": "ellipse"} and written["milliseconds"]["rerank"] > 0
    search_once("bag", shop.uri, filters=["colour=pink"], console=Console(width=200))
    assert "Nothing found for 'bag'. No product passes the filters" in capsys.readouterr().out


def test_search_once_refuses_what_it_cannot_read(shop: Shop, tmp_path: Path) -> None:
    text = tmp_path / "text.png"
    text.write_text("no picture")
    for image, reason in ((text, "not a picture"), (tmp_path / "gone.png", "no such file")):
        with pytest.raises(InputError, match=reason):
            search_once("bag", shop.uri, image)
    with pytest.raises(InputError, match="nothing to search for"):
        search_once(" ", shop.uri)
    with pytest.raises(InputError, match="cannot be written"):
        search_once("bag", shop.uri, out=tmp_path / "no" / "folder.png")


def test_a_joint_model_without_weight_is_not_asked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ranker = shop.ranker()
    monkeypatch.setattr(ranker.model.config, "joint_weight", 0.0)
    hits = ranker.search("red bag", top=5)
    assert [hit.match for hit in hits] == [None] * 5
    assert hits == ranker.search("red bag", top=5, rerank=0)
