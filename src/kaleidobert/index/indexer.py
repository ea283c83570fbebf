"""Embed a catalogue once and store it: vectors for recall, patch states for the joint model, thumbnails.

Products stream through in batches, so memory does not grow with the catalogue. Indexing again embeds only what
has changed, by product id; a run that was stopped is finished by starting it again.
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
from kaleidobert.data.readers import Problems, load_columns, read_products
from kaleidobert.errors import InputError
from kaleidobert.index.embedder import Embedder
from kaleidobert.index.lancedb_store import Store
from kaleidobert.index.records import PHOTOS, StoredView, StoreInfo
from kaleidobert.index.vector_index import tune
from kaleidobert.progress import progress_bar
from kaleidobert.scoring.protocol import PairScorer
from kaleidobert.scoring.scorer import KaleidoBertScorer

WRITE_ROWS = 512  # views per write: each write is a version of the table, so many small ones are slow
SAMPLE = 100  # texts of the store's own that the vector index is measured with


def index_catalogue(
    data: str,
    model_folder: Path,
    store_uri: str,
    split: str | None = None,
    columns: Path | None = None,
    batch_size: int = 64,
    prune: bool = False,
    new_version: bool = False,
    photos: str | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Read a catalogue (or one split of it), embed it with the model in ``model_folder`` and store it.

    The catalogue is read once before anything is embedded: that finds what is wrong with it at the start and
    tells how much there is to do. ``prune`` deletes products that are not in it, unless some rows cannot be read;
    ``new_version`` builds beside what is searched now and switches at the end; ``photos`` is one of ``PHOTOS``. What
    was skipped is summed up on ``console`` (standard error by default). Returns the figures of the run. Raises
    ``InputError`` for a catalogue, model or store that cannot be used.
    """
    console = console or Console(stderr=True)
    mapping = load_columns(columns) if columns else None
    indexer = Indexer(KaleidoBertScorer.from_pretrained(model_folder), store_uri, new_version, photos)
    with progress_bar() as progress:
        checking = progress.add_task("Checking the catalogue", total=None)
        total = 0
        for _ in read_products(data, split, mapping, report=Problems()):
            total += 1
            progress.advance(checking)
        progress.update(checking, total=total)
        indexing = progress.add_task("Indexing", total=total)
        problems = Problems()
        figures = indexer.index(
            read_products(data, split, mapping, report=problems),
            batch_size,
            problems,
            lambda count: progress.advance(indexing, count),
            prune=prune,
        )
    if problems.count:
        console.print(problems.summary(), style="yellow", markup=False)
        if prune:
            console.print("nothing was pruned: mend these rows first, as they may be of products in the store")
    if left := figures["left_behind"]:
        hint = "they are in the version before; index the catalogue that has them, too"
        console.print(f"{left:,} products of the version before are not in {data}: {hint}", style="yellow")
    return figures | {"bad_rows": problems.count}


class Indexer:
    """Embeds products with one model and writes them to one store.

    ``new_version`` leaves what is searched now alone until ``index`` has finished; ``photos`` None keeps the
    store's way. With ``store`` it writes through that very object, whose next query sees what was written.
    Raises ``InputError`` when the store holds another model's vectors or keeps photos another way.
    """

    def __init__(
        self,
        scorer: PairScorer,
        store_uri: str,
        new_version: bool = False,
        photos: str | None = None,
        store: Store | None = None,
    ) -> None:
        if photos not in (None, *PHOTOS):
            raise InputError(f"photos are {', '.join(PHOTOS)}, not {photos!r}")
        self.store_uri = store_uri
        self._new_version = new_version
        self._fingerprint = scorer.fingerprint
        before = store or Store.find(store_uri, refresh_seconds=0.0)
        kept = photos or (before.info.photos if before else PHOTOS[0])
        self._embedder = Embedder(scorer, kept)
        self._before = before if new_version else None
        # None: made by the first write
        self._store = Store.find_unfinished(store_uri, self._fingerprint, kept) if new_version else before
        if before is not None and not new_version:
            before.check_model(self._fingerprint, scorer.name)
            if before.info.photos != kept:
                raise InputError(f"{store_uri} keeps photos {before.info.photos}, not {kept}: add --new-version")

    def index(
        self,
        products: Iterable[Product],
        batch_size: int = 64,
        problems: Problems | None = None,
        progress: Callable[[int], None] = lambda _: None,
        prune: bool = False,
        written: Callable[[Collection[str]], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Embed and store those ``products`` that are new or have changed; returns the figures of the run.

        Photos that cannot be read go to ``problems``; a product without a readable photo is left out.
        ``progress`` is called with the number of products finished since its last call, ``written`` with the ids
        of products as soon as they are stored for good. Raises ``InputError`` when there was nothing to store.
        """
        problems = Problems() if problems is None else problems
        started = time.perf_counter()
        known = self._store.contents() if self._store else {}
        seen: set[str] = set()
        count = views = unchanged = 0
        waiting: list[StoredView] = []
        for batch in _batches(products, batch_size):
            seen.update(product.id for product in batch)
            changed = [each for each in batch if not known or known.get(each.id) != self._embedder.content(each)]
            stored = self._embedder.embed(changed, batch_size, problems)
            unchanged += len(batch) - len(changed)
            count += len({row.product.id for row in stored})
            views += len(stored)
            waiting += stored
            if len(waiting) >= WRITE_ROWS:
                written(self._write(waiting))
                waiting = []
            progress(len(batch))
        if waiting:
            written(self._write(waiting))
        if self._store is None or not (count or unchanged):
            raise InputError(f"no product could be indexed. {problems.summary()}".strip())
        prune = prune and not problems.count  # a row that cannot be read may be that of a product in the store
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

    def embed(self, products: Iterable[Product], batch_size: int, problems: Problems) -> list[StoredView]:
        """Rows to write of every readable view; the others go to ``problems``."""
        return self._embedder.embed(products, batch_size, problems)

    def _write(self, rows: list[StoredView]) -> list[str]:
        """Store rows; returns their products."""
        if self._store is None:
            info = self._info(rows[0].vector, rows[0].states)
            self._store = Store.create(self.store_uri, info, self._new_version)
        self._store.upsert(rows)
        return list(dict.fromkeys(row.product.id for row in rows))

    def _finish(self, seen: set[str], prune: bool) -> int:
        """Upkeep, and the switch to a new version; returns how many products of the one before it lacks."""
        assert self._store is not None
        left_behind = 0
        if self._before is not None and not prune:
            missing = set(self._before.contents()) - seen
            if self._before.info.photos == "stored":
                for batch in _batches(self._before.stored_products(missing), WRITE_ROWS):
                    self._write(self._embedder.embed(batch, WRITE_ROWS, Problems()))
            else:
                left_behind = len(missing)
        if self._store.info.calibration != (calibration := self._calibration()):
            self._store.describe(calibration=calibration)
        self._store.optimize()
        self._tune()
        self._store.publish()
        self._store.drop_old_versions()
        return left_behind

    @torch.inference_mode()
    def _tune(self) -> None:
        """Measure the vector index with texts that the store holds, since texts are what it is asked for."""
        assert self._store is not None
        if self._store.info.index and (texts := self._store.texts(SAMPLE)):
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
    """Products in lists that hold at least ``size`` views (the last may hold fewer)."""
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
