"""A catalogue prepared for training: locked portions in a memory-mapped file, texts and labels in memory.

Photos are decoded and their products located only once. The result is cached under a fingerprint of the data and of
the image processor's settings, in ``~/.cache/kaleidobert`` or the folder that the environment variable
``KALEIDOBERT_CACHE`` names.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kaleidobert.data.facts import FactTable
from kaleidobert.data.problems import Problems
from kaleidobert.data.product import Product
from kaleidobert.data.readers import read_products
from kaleidobert.errors import InputError
from kaleidobert.model.image_processing import KaleidoBertImageProcessor
from kaleidobert.progress import progress_bar
from kaleidobert.training.locking import lock_products
from kaleidobert.vision.saliency.network import PACKAGED_WEIGHTS

_LOGGER = logging.getLogger(__name__)
FORMAT = 4  # to be incremented when the files' format changes
COLUMNS = ("ids", "titles", "texts", "categories", "subcategories", "attributes")  # of a prepared dataset
LOCK_SETTINGS = ("image_size", "saliency", "keep_aspect", "resample")  # that determine a locked portion


@dataclass(frozen=True)
class PreparedDataset:
    """N products with V >= N views.

    ``titles`` resemble a shopper's query; ``texts`` are title and description. ``pixels`` (V, S, S, 3) uint8, memory
    mapped: locked portions. ``first_view`` (N + 1,): product i has the views first_view[i] : first_view[i + 1].
    """

    ids: list[str]
    titles: list[str]
    texts: list[str]
    categories: list[str]
    subcategories: list[str]
    attributes: list[Mapping[str, str]]
    first_view: np.ndarray
    pixels: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> int:
        """The index itself: the collator gathers whole batches."""
        return index

    def text_groups(self) -> np.ndarray:
        """(N,) int64, equal if titles differ in case and spaces only, so that their texts are interchangeable."""
        normal = [" ".join(title.lower().split()) for title in self.titles]
        return np.unique(normal, return_inverse=True)[1].astype(np.int64)

    def facts(self) -> FactTable:
        return FactTable.of(self.categories, self.subcategories, self.attributes)

    def sample(self, count: int, seed: int) -> PreparedDataset:
        """``count`` random products, or all of fewer, in their order; each with its first view alone."""
        rows = np.sort(np.random.default_rng([seed, 3]).permutation(len(self))[:count])
        return PreparedDataset(
            **{name: [getattr(self, name)[row] for row in rows] for name in COLUMNS},
            first_view=np.arange(len(rows) + 1),
            pixels=self.pixels[self.first_view[rows]],
        )

    def head(self, count: int) -> PreparedDataset:
        """The first ``count`` products."""
        views = int(self.first_view[min(count, len(self))])
        return PreparedDataset(
            **{name: getattr(self, name)[:count] for name in COLUMNS},
            first_view=self.first_view[: count + 1],
            pixels=self.pixels[:views],
        )


def prepare(
    data: str | Path,
    split: str,
    image_processor: KaleidoBertImageProcessor,
    columns: Mapping[str, str] | None = None,
    problems: Problems | None = None,
) -> PreparedDataset:
    """Read one split of any source and lock every view, or load it from the cache.

    Unusable rows are counted in ``problems``, or logged if there is none. Raises ``InputError`` as `read_products`
    does, and if less than 95 % of the products can be used.
    """
    settings = {name: getattr(image_processor, name) for name in LOCK_SETTINGS}
    settings |= _weights_state(image_processor.saliency)
    key = json.dumps([FORMAT, _source_state(data), split, settings, columns], sort_keys=True, default=str)
    folder = cache_folder() / hashlib.sha256(key.encode()).hexdigest()[:16]
    if not (folder / "products.json").exists():
        found = problems or Problems()
        _write(folder, read_products(data, split, columns, report=found), image_processor, split, found)
        if problems is None and found.count:
            _LOGGER.warning("%s (%s): %s", data, split, found.summary())
    return _load(folder, image_processor.image_size)


def cache_folder() -> Path:
    return Path(os.environ.get("KALEIDOBERT_CACHE", Path.home() / ".cache" / "kaleidobert"))


def _source_state(data: str | Path) -> list:
    """The source's path with its files' names, sizes and modification times, to detect changes."""
    path = Path(data)
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return [str(path.resolve()) if files else str(data), stats]


def _weights_state(saliency: str) -> dict:
    """The state of the detector's weights file or folder, if it has one: other weights give other portions."""
    path = PACKAGED_WEIGHTS if saliency == "network" else Path(saliency)
    return {"weights": _source_state(path)} if path.exists() and saliency not in ("border-colour", "none") else {}


def _write(
    folder: Path,
    products: Iterable[Product],
    image_processor: KaleidoBertImageProcessor,
    split: str,
    problems: Problems,
) -> None:
    """Write to a scratch folder, then rename it, so that an interrupted run leaves no incomplete cache."""
    scratch = folder.with_name(f"{folder.name}.{socket.gethostname()}.{os.getpid()}")
    scratch.mkdir(parents=True, exist_ok=True)  # it exists if a killed process had the same number
    columns: dict[str, list] = {name: [] for name in (*COLUMNS, "views")}
    whole = 0  # views without a product found
    try:
        with open(scratch / "pixels.raw", "wb") as pixels, progress_bar() as progress:
            bar = progress.add_task(f"{split}: locating products in their photos", total=None)
            for product, locked in lock_products(products, image_processor):
                progress.advance(bar)
                if isinstance(locked, str):
                    problems.add(split, product.id, locked)
                    continue
                views, found = locked
                whole += len(views) - found
                pixels.write(views.tobytes())
                title = product.title or product.text
                labels = (product.category, product.subcategory, dict(product.attributes))
                values = (product.id, title, product.text, *labels, len(views))
                for name, value in zip(columns, values, strict=True):
                    columns[name].append(value)
        problems.check(0.05)
        if whole:
            photos = f"{whole:,} of {sum(columns['views']):,} photos"
            _LOGGER.warning("%s: no product found in %s; these are used whole", split, photos)
        (scratch / "products.json").write_text(json.dumps(columns))
        if not folder.exists():
            scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _load(folder: Path, size: int) -> PreparedDataset:
    columns = json.loads((folder / "products.json").read_text())
    first_view = np.concatenate([[0], np.cumsum(columns.pop("views"))]).astype(np.int64)
    if len(first_view) == 1:
        raise InputError(f"{folder}: no product could be used")
    pixels = np.memmap(folder / "pixels.raw", dtype=np.uint8, mode="r", shape=(int(first_view[-1]), size, size, 3))
    return PreparedDataset(**columns, first_view=first_view, pixels=pixels)
