"""Title, category and sub-category for a photo: by fine-tuned runs, or else by the catalogue's most similar photos."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from kaleidobert.search.query import Hit, Query
from kaleidobert.server.batched_ranker import BatchedRanker
from kaleidobert.server.schemas import DescribeResponse, Prediction

if TYPE_CHECKING:  # it needs torch
    from kaleidobert.model.describing import Describer

NEIGHBOURS = 15
TOP_LABELS = 3  # as many as runs predict
SHARPNESS = 20.0  # inverse temperature of the neighbours' votes over their cosines
FIELDS = ("title", "category", "subcategory")


class PhotoDescriber:
    """Describes photos. Fields that no run predicts are voted on by the most similar products of the store."""

    def __init__(self, batched_ranker: BatchedRanker, runs: Describer | None = None) -> None:
        self._batched_ranker = batched_ranker
        self._runs = runs

    def describe(self, image: Image.Image, text: str | None = None) -> DescribeResponse:
        """Raises ``InputError`` when a run needs the product's text and none is given."""
        predicted = self._runs.describe(image, text) if self._runs else {}
        title = predicted.get("title", "")
        labels = {
            name: [Prediction(label=each["label"], probability=each["probability"] / 100) for each in predicted[name]]
            for name in predicted
            if name != "title"
        }
        if len(predicted) < len(FIELDS):
            query = Query(image=image, top=NEIGHBOURS, thumbnails=False)
            neighbours = self._batched_ranker.ranker.answer(query).hits
            labels.setdefault("category", vote(neighbours, lambda hit: hit.product.category))
            labels.setdefault("subcategory", vote(neighbours, lambda hit: hit.product.subcategory))
            title = title or (neighbours[0].product.title if neighbours else "")
        sources = {name: "model" if name in predicted else "catalogue" for name in FIELDS}
        return DescribeResponse(title=title, **labels, sources=sources)


def vote(neighbours: list[Hit], label: Callable[[Hit], str]) -> list[Prediction]:
    """The most probable labels; each neighbour votes with the weight exp(``SHARPNESS`` * cosine)."""
    cosines = np.array([hit.cosine for hit in neighbours])
    weights = np.exp(SHARPNESS * (cosines - cosines.max(initial=-1.0)))
    votes: dict[str, float] = {}
    for hit, weight in zip(neighbours, weights / (weights.sum() or 1.0), strict=True):
        votes[label(hit)] = votes.get(label(hit), 0.0) + float(weight)
    ranked = sorted(votes, key=lambda name: (-votes[name], name))
    return [Prediction(label=name, probability=votes[name]) for name in ranked[:TOP_LABELS] if name]
