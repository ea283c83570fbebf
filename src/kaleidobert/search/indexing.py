"""Embed a catalogue once and store it: vectors for recall, patch states for the joint model, thumbnails.

Products stream through in batches, so memory does not grow with the catalogue. Indexing again updates in
place, by product id; a run that was stopped is finished by starting it again.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console

from kaleidobert.data.product import Product
from kaleidobert.data.readers import Problems, load_columns, read_products
from kaleidobert.errors import InputError
from kaleidobert.model import load_run
from kaleidobert.progress import progress_bar
from kaleidobert.search.records import StoredView, StoreInfo
from kaleidobert.search.store import Store

THUMBNAIL_SIZE = (256, 512)  # at most this wide and high
WRITE_ROWS = 512  # views per write: each write is a version of the table, so many small ones are slow


def index_catalogue(
    data: str,
    model_folder: Path,
    store_uri: str,
    split: str | None = None,
    columns: Path | None = None,
    batch_size: int = 64,
    console: Console | None = None,
) -> dict[str, Any]:
    """Read a catalogue (or one split of it), embed it with the model in ``model_folder`` and store it.

    The catalogue is read once before anything is embedded: that finds what is wrong with it at the start and
    tells how much there is to do. What was skipped is summed up on ``console`` (standard error by default).
    Returns the figures of the run. Raises ``InputError`` for a catalogue, model or store that cannot be used.
    """
    console = console or Console(stderr=True)
    mapping = load_columns(columns) if columns else None
    indexer = Indexer(*load_run(model_folder), store_uri, model_folder)
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
        )
    if problems.count:
        console.print(problems.summary(), style="yellow", markup=False)
    return figures | {"bad_rows": problems.count}


class Indexer:
    """Embeds products with one model and writes them to one store.

    Raises ``InputError`` when the store holds another model's vectors.
    """

    def __init__(self, model: Any, processor: Any, store_uri: str, model_folder: Path) -> None:
        self.model = model.eval()
        self.processor = processor
        self.store_uri = store_uri
        self.model_folder = model_folder
        self._fingerprint: str = model.fingerprint()
        self._store = Store.find(store_uri, refresh_seconds=0.0)  # made by the first write where there is none
        if self._store is not None:
            self._store.check_model(self._fingerprint, str(model_folder))

    def index(
        self,
        products: Iterable[Product],
        batch_size: int = 64,
        problems: Problems | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Embed and store ``products``; returns the figures of the run.

        Photos that cannot be read go to ``problems``; a product without a readable photo is left out.
        ``progress`` is called with the number of products finished since its last call. Raises ``InputError``
        when there was nothing to store.
        """
        problems = Problems() if problems is None else problems
        started = time.perf_counter()
        count = views = 0
        waiting: list[StoredView] = []
        for batch in _batches(products, batch_size):
            stored = self.embed(batch, batch_size, problems)
            count += len({row.product.id for row in stored})
            views += len(stored)
            waiting += stored
            if len(waiting) >= WRITE_ROWS:
                self._write(waiting)
                waiting = []
            progress(len(batch))
        if waiting:
            self._write(waiting)
        if self._store is None or not count:
            raise InputError(f"no product could be indexed. {problems.summary()}".strip())
        self._store.optimize()
        seconds = time.perf_counter() - started
        return {
            "store": self.store_uri,
            "model": str(self.model_folder),
            "fingerprint": self._fingerprint,
            "products": count,
            "views": views,
            "rows_in_store": self._store.rows(),
            "seconds": round(seconds, 2),
            "products_per_second": round(count / seconds, 1),
        }

    @torch.inference_mode()
    def embed(self, products: Iterable[Product], batch_size: int, problems: Problems) -> list[StoredView]:
        """Vectors, patch states and thumbnails of every readable view, ``batch_size`` photos a forward."""
        photos = list(_photos(products, problems))
        rows = []
        for start in range(0, len(photos), batch_size):
            part = photos[start : start + batch_size]
            inputs = self.processor(images=[image for _, _, image in part])
            output = self.model.image_entry(inputs["pixel_values"].to(next(self.model.parameters()).device))
            vectors = output.vectors.float().cpu().numpy()  # (B, P)
            hubness = self.model.image_hubness(output.vectors).tolist()
            states = output.patches.to("cpu", torch.float16).numpy()  # (B, 55, H)
            if not (np.isfinite(vectors).all() and np.isfinite(states).all()):
                raise InputError(f"the model in {self.model_folder} gives values that are no numbers: train it again")
            rows += [
                StoredView(product, view, vectors[i], hubness[i], states[i], thumbnail(image))
                for i, (product, view, image) in enumerate(part)
            ]
        return rows

    def _write(self, rows: list[StoredView]) -> None:
        if self._store is None:
            self._store = Store.create(self.store_uri, self._info(rows[0].vector, rows[0].states))
        self._store.upsert(rows)

    def _info(self, vector: np.ndarray, states: np.ndarray) -> StoreInfo:
        return StoreInfo(
            fingerprint=self._fingerprint,
            model=str(self.model_folder.resolve()),
            vector_size=len(vector),
            patches=states.shape[0],
            hidden_size=states.shape[1],
            package=version("kaleidobert"),
        )


def thumbnail(image: Image.Image) -> bytes:
    """The photo as a JPEG of at most 256 x 512 pixels; a smaller one keeps its size."""
    small = image.copy()
    small.thumbnail(THUMBNAIL_SIZE)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _photos(products: Iterable[Product], problems: Problems) -> Iterator[tuple[Product, int, Image.Image]]:
    for product in products:
        if not product.images:
            problems.add("catalogue", f"product {product.id}", "no photo")
        for view in range(len(product.images)):
            try:
                yield product, view, product.open(view)
            except (OSError, ValueError, Image.DecompressionBombError) as error:
                problems.add("catalogue", f"product {product.id}", f"photo {view} cannot be read: {error}")


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
