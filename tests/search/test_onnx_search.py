"""A search with the exported model finds and explains what it finds with the run."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fixtures.shop import Shop, drawn
from kaleidobert.index.indexer import Indexer
from kaleidobert.index.opening import open_index
from kaleidobert.scoring.engine import Engine
from kaleidobert.scoring.loading import load_scorer
from kaleidobert.search.query import Query
from kaleidobert.search.ranker import Ranker

PHOTO = Image.open(io.BytesIO(drawn("orange", "rectangle"))).convert("RGB")


@pytest.fixture(scope="module")
def rankers(shop: Shop, exported: tuple[Path, Path]) -> tuple[Ranker, Ranker]:
    index = shop.index or open_index(shop.uri)
    return Ranker(load_scorer(exported[0]), index), Ranker(load_scorer(exported[1], Engine.onnx), index)


@pytest.mark.parametrize(
    "query",
    [
        {"text": "red ellipse bag", "why": True},
        {"text": "bag", "rerank": 5},
        {"text": "bag without ellipse"},
        {"image": PHOTO},
        {"text": "purple", "image": PHOTO, "avoid": "rectangle"},
        {"like": "p03", "text": "green"},
        {"text": "bag", "rerank": 0, "threshold": 0.1},
    ],
    ids=lambda query: ", ".join(query),
)
def test_same_hits(rankers: tuple[Ranker, Ranker], query: dict[str, Any]) -> None:
    run, onnx = (ranker.answer(Query(**query)) for ranker in rankers)
    assert [hit.product.id for hit in run.hits] == [hit.product.id for hit in onnx.hits] != []
    assert (run.total, run.weak, run.note) == (onnx.total, onnx.weak, onnx.note)
    for one, other in zip(run.hits, onnx.hits, strict=True):
        assert (one.score, one.match) == pytest.approx((other.score, other.match), abs=1e-3)
        for word, same in zip(one.why or [], other.why or [], strict=True):
            assert (word.word, word.weight) == (same.word, pytest.approx(same.weight, abs=1e-3))
            assert [patch.patch for patch in word.patches] == [patch.patch for patch in same.patches]


def test_many_queries_at_once(rankers: tuple[Ranker, Ranker]) -> None:
    queries = [Query(text) for text in ("red bag", "a black rectangle, if there is one", "green")]
    for one, other in zip(*(ranker.answer_many(queries) for ranker in rankers), strict=True):
        assert [hit.product.id for hit in one.hits] == [hit.product.id for hit in other.hits]


def test_a_new_version_of_the_same_model_is_followed(new_shop: Shop, exported: tuple[Path, Path]) -> None:
    """Without its run, which the server need not have; here the exported model has embedded it, too."""
    new_shop.indexer().index(new_shop.products[:4])
    ranker = Ranker.open(new_shop.uri, exported[1], Engine.onnx)
    Indexer(ranker.scorer, new_shop.uri, new_version=True).index(new_shop.products)
    followed = ranker.reopened()
    assert followed.scorer is ranker.scorer
    assert (ranker.store.rows(), followed.store.rows()) == (6, len(new_shop.products) + 2)
