"""A catalogue prepared for training: locked portions in a memory-mapped file, texts and labels in memory.

Photos are decoded and their products located only once. The result is cached under a fingerprint of the data and of
the image processor's settings, for as long as no photo file changes, in ``~/.cache/kaleidobert`` or the folder that the
environment variable ``KALEIDOBERT_CACHE`` names.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kaleidobert.data.facts import FactTable
from kaleidobert.data.problems import Problems
from kaleidobert.data.product import Product
from kaleidobert.data.readers import read_products
from kaleidobert.data.reading import BY_DEFAULT, Reading
from kaleidobert.errors import InputError, reason_of
from kaleidobert.model.image_processing import KaleidoBertImageProcessor
from kaleidobert.progress import note, note_once, progress_bar
from kaleidobert.training.file_state import photos_changed, save_photos, source_state
from kaleidobert.training.locking import lock_products
from kaleidobert.vision.saliency.network import PACKAGED_WEIGHTS

_LOGGER = logging.getLogger(__name__)
FORMAT = 7  # to be incremented when the files' format changes, or what is made of a catalogue
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

    def __getitem__(self, drawn: Any) -> Any:
        """What a sampler drew, as it is (an index or a `sampling.Draw`): the collator gathers whole batches."""
        return drawn

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
    split: str | None,
    image_processor: KaleidoBertImageProcessor,
    reading: Reading = BY_DEFAULT,
    problems: Problems | None = None,
) -> PreparedDataset:
    """Read one split of any source, or all of it, and lock every view, or load it from the cache.

    Says how many products of how many rows these are. Unusable rows are counted in ``problems``, or logged if there is
    none. Raises ``InputError`` as `read_products` does, if more than ``reading.max_bad`` of the products cannot be
    used, and for a damaged cache.
    """
    settings = {name: getattr(image_processor, name) for name in LOCK_SETTINGS}
    settings |= _weights_state(image_processor.saliency)
    key = json.dumps(
        [FORMAT, source_state(data), split, settings, dict(reading.columns), reading.max_bad],
        sort_keys=True,
        default=str,
    )
    folder = cache_folder() / hashlib.sha256(key.encode()).hexdigest()[:16]
    name = f"{data} ({split})" if split else str(data)
    if folder.exists():
        with _damage_reported(folder):
            if photos_changed(folder):
                note(f"{name}: photos have changed since they were prepared")
                shutil.rmtree(folder)
    if not folder.exists():
        found = problems or Problems()
        products = read_products(data, split, reading.columns, reading.max_bad, found)
        _write(folder, products, image_processor, split or "all", reading.max_bad, found)
        if problems is None and found.count:
            _LOGGER.warning("%s: %s", name, found.summary())
    with _damage_reported(folder):
        prepared, rows = _load(folder, image_processor.image_size)
    note_once(f"{name}: {len(prepared):,} products of {rows:,} rows")
    return prepared


def cache_folder() -> Path:
    return Path(os.environ.get("KALEIDOBERT_CACHE", Path.home() / ".cache" / "kaleidobert"))


@contextmanager
def _damage_reported(folder: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(
            f"{folder}: this cache of prepared photos is damaged ({reason_of(error)}): "
            "delete the folder, and run it again"
        ) from error


@contextmanager
def _space_reported() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{cache_folder()}: prepared photos cannot be written ({error.strerror or error}); make room, or name "
            "another folder in the environment variable KALEIDOBERT_CACHE"
        ) from error


def _weights_state(saliency: str) -> dict:
    """The state of the detector's weights file or folder, if it has one: other weights give other portions."""
    path = PACKAGED_WEIGHTS if saliency == "network" else Path(saliency)
    return {"weights": source_state(path)} if path.exists() and saliency not in ("border-colour", "none") else {}


def _write(
    folder: Path,
    products: Iterable[Product],
    image_processor: KaleidoBertImageProcessor,
    split: str,
    max_bad: float,
    problems: Problems,
) -> None:
    """Write to a scratch folder, then rename it, so that an interrupted run leaves no incomplete cache."""
    scratch = folder.with_name(f"{folder.name}.{socket.gethostname()}.{os.getpid()}")
    columns: dict[str, list] = {name: [] for name in (*COLUMNS, "views")}
    files: list[Path] = []
    whole = 0  # views without a product found
    try:
        with _space_reported():
            scratch.mkdir(parents=True, exist_ok=True)  # it exists if a killed process had the same number
        with _space_reported(), open(scratch / "pixels.raw", "wb") as pixels, progress_bar() as progress:
            bar = progress.add_task(f"{split}: locating products in their photos", total=None)
            for product, (views, found, wrong) in lock_products(products, image_processor):
                progress.advance(bar)
                if wrong:
                    problems.add(split, product.id, wrong)
                if not len(views):
                    continue
                whole += len(views) - found
                pixels.write(views.tobytes())
                files += [each for each in product.images if isinstance(each, Path)]
                title = product.title or product.text
                labels = (product.category, product.subcategory, dict(product.attributes))
                values = (product.id, title, product.text, *labels, len(views))
                for name, value in zip(columns, values, strict=True):
                    columns[name].append(value)
        problems.check(max_bad)
        if whole:
            photos = f"{whole:,} of {sum(columns['views']):,} photos"
            _LOGGER.warning("%s: no product found in %s; these are used whole", split, photos)
        with _space_reported():
            save_photos(scratch, files, complete=not problems.count)
            (scratch / "products.json").write_text(json.dumps({"rows": problems.rows, "products": columns}))
            if not folder.exists():
                scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _load(folder: Path, size: int) -> tuple[PreparedDataset, int]:
    """The prepared products, and the number of rows of the source that they are of."""
    stored = json.loads((folder / "products.json").read_text())
    columns = stored["products"]
    first_view = np.concatenate([[0], np.cumsum(columns.pop("views"))]).astype(np.int64)
    if len(first_view) == 1:
        raise InputError(f"{folder}: no product could be used")
    pixels = np.memmap(folder / "pixels.raw", dtype=np.uint8, mode="r", shape=(int(first_view[-1]), size, size, 3))
    return PreparedDataset(**columns, first_view=first_view, pixels=pixels), int(stored["rows"])
