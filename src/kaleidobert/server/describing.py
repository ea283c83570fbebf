"""A title and a category for a photo: from runs trained for it, else from the catalogue's photos like it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from kaleidobert.model.describing import TOP_CLASSES, Describer
from kaleidobert.search.query import Hit, Query
from kaleidobert.server.batched_ranker import BatchedRanker
from kaleidobert.server.schemas import DescribeResponse, Guess

NEIGHBOURS = 15
SHARPNESS = 20.0  # of neighbours' votes, by their cosine


class PhotoReader:
    """Describes photos; what ``runs`` do not tell, the most similar products of the store do."""

    def __init__(self, searcher: BatchedRanker, runs: Describer) -> None:
        self._searcher = searcher
        self._runs = runs

    def describe(self, image: Image.Image, text: str | None = None) -> DescribeResponse:
        """Raises ``InputError`` where a run reads texts and none is given."""
        told = self._runs.describe(image, text)
        by = dict.fromkeys(told, "model")
        found = {
            name: [Guess(label=each["label"], probability=each["probability"] / 100) for each in told[name]]
            for name in told
            if name != "title"
        }
        title = told.get("title", "")
        if len(told) < 3:
            alike = self._searcher.ranker.answer(Query(image=image, top=NEIGHBOURS, thumbnails=False)).hits
            found.setdefault("category", vote(alike, lambda hit: hit.product.category))
            found.setdefault("subcategory", vote(alike, lambda hit: hit.product.subcategory))
            title = title or (alike[0].product.title if alike else "")
        names = ("title", "category", "subcategory")
        return DescribeResponse(title=title, **found, told_by={name: by.get(name, "catalogue") for name in names})


def vote(hits: list[Hit], label: Callable[[Hit], str]) -> list[Guess]:
    """The likeliest labels of neighbours: each votes with exp(``SHARPNESS`` * cosine)."""
    cosines = np.array([hit.cosine for hit in hits])
    shares = np.exp(SHARPNESS * (cosines - cosines.max(initial=-1.0)))
    votes: dict[str, float] = {}
    for hit, share in zip(hits, shares / (shares.sum() or 1.0), strict=True):
        votes[label(hit)] = votes.get(label(hit), 0.0) + float(share)
    likeliest = sorted(votes, key=lambda name: (-votes[name], name))
    return [Guess(label=name, probability=votes[name]) for name in likeliest[:TOP_CLASSES] if name]
