"""Stores to search in: of any size, from few products."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from kaleidobert.benchmark.drawn import DRAWN, subject
from kaleidobert.data.product import Product
from kaleidobert.index.indexer import Indexer
from kaleidobert.index.lancedb_store import LanceDBIndex
from kaleidobert.index.opening import open_index
from kaleidobert.index.protocol import ProductIndex
from kaleidobert.index.records import StoredView
from kaleidobert.index.vector_index import tune
from kaleidobert.model import KaleidoBertProcessor
from kaleidobert.scoring.ranking import Ranking, RankingWeights
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.training.settings import RunSettings

NOISE = 0.3  # length of what is added to an embedding; variants have a cosine of 0.98, copies at most 0.96
WRITE_ROWS = 2000
# Match probabilities without a fit; a search re-ranks nothing without them. Words do not count in it.
CALIBRATION: dict[str, Any] = {
    "vectors": [0.02, 0.5, -0.5, 0.0],
    "combined": [0.02, 0.5, -0.5, 0.0],
    "photo": [0.4, -3.0],
}
CALIBRATION |= {"words": {}, "unknown": 0.2, "weak": 0.1}


def drawn_store(settings: RunSettings, folder: Path, products: int, data: str | None = None) -> str:
    """A store of ``products`` products in ``folder``, indexed by a model of a preset's sizes without training."""
    drawn = subject(settings, data, min(products, DRAWN))
    drawn.model.save_pretrained(folder / "model")
    KaleidoBertProcessor(drawn.image_processor, drawn.tokenizer).save_pretrained(folder / "model")
    weights = RankingWeights(lm_weight=1.0, calibration=CALIBRATION)  # both terms, as fitted ones usually have
    Ranking(weights).save(folder / "model")
    small, large = str(folder / "small.store"), str(folder / "large.store")
    Indexer(KaleidoBertScorer.from_pretrained(folder / "model"), small).index(drawn.products)
    enlarge(small, large, products)
    return large


def enlarge(store: str, out: str, products: int) -> LanceDBIndex:
    """A store of a small store's products again and again under other ids.

    Texts, photos and patch states are the same; embeddings are changed at random, so that copies are no variants.
    """
    index, rng = open_index(store), np.random.default_rng(0)
    large = LanceDBIndex.create(out, replace(index.info, index={}))
    views = islice(_copies(index, rng), products)
    while rows := list(islice(views, WRITE_ROWS)):
        large.upsert(rows)
    large.optimize()
    tune(large, np.stack([view.vector for view in islice(_copies(index, rng), 100)]))
    return large


def _copies(index: ProductIndex, rng: np.random.Generator) -> Iterator[StoredView]:
    """The first photo of every product, again and again."""
    found = [known[0] for product_id in index.product_ids() if (known := index.product(product_id))]
    keys = [each.key for each in found]
    vectors, states, photos = index.vectors(keys), index.states(keys), index.thumbnails(keys)
    for number, each in zip(count(), cycle(found)):
        vector = vectors[each.key] + rng.normal(0, NOISE / len(vectors[each.key]) ** 0.5, len(vectors[each.key]))
        product = Product(
            f"{each.id}-{number}", each.title, each.description, each.category, each.subcategory, each.attributes
        )
        unit = vector / np.linalg.norm(vector)
        yield StoredView(product, 0, unit, each.hubness, states[each.key], photos[each.key], each.box)
