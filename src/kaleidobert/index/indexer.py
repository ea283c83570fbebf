"""Embeds a catalogue and stores it: image embeddings for recall, patch states for the joint model, thumbnails.

Products stream through in batches, so that memory does not grow with the catalogue. Indexing again embeds only new and
changed products; an interrupted run is completed by running it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from kaleidobert.data.product import Product
from kaleidobert.data.readers import Problems, read_products
from kaleidobert.data.reading import BY_DEFAULT, Reading
from kaleidobert.errors import InputError
from kaleidobert.index.embedder import Embedder
from kaleidobert.index.lancedb_store import LanceDBIndex
from kaleidobert.index.records import PHOTOS, StoredView, StoreInfo
from kaleidobert.index.vector_index import tune
from kaleidobert.progress import progress_bar
from kaleidobert.scoring.protocol import PairScorer
from kaleidobert.scoring.scorer import KaleidoBertScorer

WRITE_ROWS = 512  # views per write: each write creates a table version, and many small ones are slow
WORDS_TO_TRY = 3  # of a title
TUNING_QUERIES = 100  # texts of stored products with which the vector index is tuned


def index_catalogue(
    data: str,
    model_folder: Path,
    store_uri: str,
    split: str | None = None,
    reading: Reading = BY_DEFAULT,
    batch_size: int = 64,
    prune: bool = False,
    new_version: bool = False,
    photos: str | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Embed a catalogue, or one split of it, with the model in ``model_folder`` and store it.

    The catalogue is read once before anything is embedded, to find its errors early and to show progress.
    ``prune`` deletes products that are not in it, unless some of its rows cannot be read. ``new_version`` builds a
    version beside the one that is searched and switches to it at the end. ``photos`` is one of ``PHOTOS``. Skipped rows
    are summarised on ``console`` (standard error by default). Returns the figures of the run. Raises ``InputError`` for
    a catalogue, model or store that cannot be used.
    """
    console = console or Console(stderr=True)
    indexer = Indexer(KaleidoBertScorer.from_pretrained(model_folder), store_uri, new_version, photos)
    with progress_bar() as progress:
        checking = progress.add_task("Checking the catalogue", total=None)
        total = 0
        checked, example = Problems(), ""
        for product in read_products(data, split, reading.columns, reading.max_bad, checked):
            total += 1
            example = example or words_to_try(product)
            progress.advance(checking)
        progress.update(checking, total=total)
        console.print(
            f"{data}: {total:,} products of {checked.rows:,} rows", markup=False, highlight=False, soft_wrap=True
        )
        indexing = progress.add_task("Indexing", total=total)
        problems = Problems()
        figures = indexer.index(
            read_products(data, split, reading.columns, reading.max_bad, problems),
            batch_size,
            problems,
            lambda count: progress.advance(indexing, count),
            prune=prune,
        )
    if problems.count:
        console.print(problems.summary(), style="yellow", markup=False)
        if prune:
            console.print("nothing was pruned, because these rows may belong to stored products: correct them first")
    if left := figures["left_behind"]:
        hint = "they are missing from the new one; index the catalogue that has them as well"
        console.print(f"{left:,} products of the previous version are not in {data}: {hint}", style="yellow")
    return figures | {"bad_rows": problems.count, "example": example}


def words_to_try(product: Product) -> str:
    """A query in the catalogue's own words: the product's colour, if it has one, and its kind, or the title's start."""
    colours = (value for name, value in product.attributes.items() if "colo" in name.lower())
    kind = product.subcategory or product.category
    return f"{next(colours, '')} {kind}".strip().lower() if kind else " ".join(product.text.split()[:WORDS_TO_TRY])


class Indexer:
    """Embeds products with one model and writes them to one store.

    ``new_version`` leaves the version that is searched untouched until ``index`` has finished. ``photos``, one of
    ``PHOTOS``, defaults to what the store does already. Raises ``InputError`` when the store holds another model's
    embeddings or keeps photos differently.
    """

    def __init__(
        self,
        scorer: PairScorer,
        store_uri: str,
        new_version: bool = False,
        photos: str | None = None,
    ) -> None:
        if photos not in (None, *PHOTOS):
            raise InputError(f"photos must be one of {', '.join(PHOTOS)}, not {photos!r}")
        self.store_uri = store_uri
        self._new_version = new_version
        self._fingerprint = scorer.fingerprint
        current = LanceDBIndex.find(store_uri, refresh_seconds=0.0)
        photos = photos or (current.info.photos if current else PHOTOS[0])
        self._embedder = Embedder(scorer, photos)
        self._previous = current if new_version else None
        # None: created by the first write
        self._store = LanceDBIndex.find_unfinished(store_uri, self._fingerprint, photos) if new_version else current
        if current is not None and not new_version:
            current.info.check_format(store_uri)
            current.check_model(self._fingerprint, scorer.name)
            if current.info.photos != photos:
                raise InputError(f"{store_uri} keeps photos {current.info.photos}, not {photos}: add --new-version")

    def index(
        self,
        products: Iterable[Product],
        batch_size: int = 64,
        problems: Problems | None = None,
        on_progress: Callable[[int], None] = lambda _: None,
        prune: bool = False,
        on_stored: Callable[[Collection[str]], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Embed and store the new and changed ``products``; returns the figures of the run.

        Unreadable photos go to ``problems``; a product without a readable photo is skipped. ``on_progress`` is called
        with the number of products processed since its last call, ``on_stored`` with the ids of products once they are
        committed. Raises ``InputError`` when there is nothing to store.
        """
        problems = Problems() if problems is None else problems
        started = time.perf_counter()
        contents = self._store.contents() if self._store else {}
        seen: set[str] = set()
        count = views = unchanged = 0
        pending: list[StoredView] = []
        for batch in _batches(products, batch_size):
            seen.update(product.id for product in batch)
            changed = [each for each in batch if not contents or contents.get(each.id) != self._embedder.content(each)]
            embedded = self._embedder.embed(changed, batch_size, problems)
            unchanged += len(batch) - len(changed)
            count += len({view.product.id for view in embedded})
            views += len(embedded)
            pending += embedded
            if len(pending) >= WRITE_ROWS:
                on_stored(self._write(pending))
                pending = []
            on_progress(len(batch))
        if pending:
            on_stored(self._write(pending))
        if self._store is None or not (count or unchanged):
            raise InputError(f"no product could be indexed. {problems.summary()}".strip())
        prune = prune and not problems.count  # an unreadable row may belong to a stored product
        removed = self._store.delete(set(self._store.contents()) - seen) if prune else 0
        left_behind = self._finish(seen, prune)
        seconds = time.perf_counter() - started
        return {
            "store": self.store_uri,
            "version": self._store.number,
            "model": self._embedder.scorer.name,
            "fingerprint": self._fingerprint,
            "products": count,
            "views": views,
            "unchanged": unchanged,
            "removed": removed,
            "left_behind": left_behind,
            "rows_in_store": self._store.rows(),
            "index": self._store.info.index or {"kind": "exact", "recall": 1.0},
            "seconds": round(seconds, 2),
            "products_per_second": round(count / seconds, 1),
        }

    def _write(self, views: list[StoredView]) -> list[str]:
        """Store the views; returns the ids of their products."""
        if self._store is None:
            info = self._info(views[0].vector, views[0].states)
            self._store = LanceDBIndex.create(self.store_uri, info, self._new_version)
        self._store.upsert(views)
        return list(dict.fromkeys(view.product.id for view in views))

    def _finish(self, seen: set[str], prune: bool) -> int:
        """Optimize, tune and publish; returns how many products of the previous version are missing from the new one.

        Products that were not ``seen`` are carried over from the previous version if it kept their photos.
        """
        assert self._store is not None
        left_behind = 0
        if self._previous is not None and not prune:
            missing = set(self._previous.contents()) - seen
            if self._previous.info.photos == "stored":
                for batch in _batches(self._previous.stored_products(missing), WRITE_ROWS):
                    self._write(self._embedder.embed(batch, WRITE_ROWS, Problems()))
            else:
                left_behind = len(missing)
        if self._store.info.calibration != (calibration := self._calibration()):
            self._store.describe(calibration=calibration)
        if self._previous is not None:
            self._store.describe(rules=self._previous.info.rules)
        self._store.optimize()
        self._tune()
        self._store.publish()
        self._store.drop_old_versions()
        return left_behind

    @torch.inference_mode()
    def _tune(self) -> None:
        """Tune the vector index with texts of stored products, because most queries are texts."""
        assert self._store is not None
        if self._store.info.index and (texts := self._store.sample_texts(TUNING_QUERIES)):
            tune(self._store, self._embedder.scorer.encode_texts(texts).embeds.float().cpu().numpy())

    def _calibration(self) -> dict[str, Any]:
        return dict(self._embedder.scorer.weights.calibration)

    def _info(self, vector: np.ndarray, states: np.ndarray) -> StoreInfo:
        return StoreInfo(
            fingerprint=self._fingerprint,
            model=str(Path(self._embedder.scorer.name).resolve()),
            vector_size=len(vector),
            patches=states.shape[0],
            hidden_size=states.shape[1],
            package=version("kaleidobert"),
            photos=self._embedder.photos,
            calibration=self._calibration(),
        )


def _batches(products: Iterable[Product], size: int) -> Iterator[list[Product]]:
    """Products in lists with at least ``size`` views in total; the last list may have fewer."""
    batch: list[Product] = []
    views = 0
    for product in products:
        batch.append(product)
        views += len(product.images)
        if views >= size:
            yield batch
            batch, views = [], 0
    if batch:
        yield batch
