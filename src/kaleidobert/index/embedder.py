"""Turns products into the rows of a store: embeddings, patch states, thumbnails and locked portions."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from kaleidobert.data.images import ImageSource
from kaleidobert.data.problems import Problems
from kaleidobert.data.product import Product
from kaleidobert.errors import InputError
from kaleidobert.index.records import Box, StoredView
from kaleidobert.scoring.protocol import PairScorer, as_numpy
from kaleidobert.vision.locked_portion import cut_locked_portion, locked_window

THUMBNAIL_SIZE = (256, 512)  # maximum width and height


class Embedder:
    """Embeds products with one model.

    ``photos``, one of ``PHOTOS``: what to keep of a photo besides its thumbnail (nothing, the file, or its path).
    """

    def __init__(self, scorer: PairScorer, photos: str = "thumbnails") -> None:
        self.scorer = scorer
        self.photos = photos
        self._settings = json.dumps(
            [scorer.processor.image_processor.to_dict(), THUMBNAIL_SIZE], sort_keys=True, default=str
        )

    def content(self, product: Product) -> str:
        """A hash of everything that the product's rows depend on; "" when a photo cannot be read."""
        fields = (product.id, product.title, product.description, product.category, product.subcategory)
        inputs = json.dumps([self._settings, self.photos, fields, dict(product.attributes)], ensure_ascii=False)
        digest = hashlib.sha256(inputs.encode())
        for image in product.images:
            try:
                photo = image if isinstance(image, bytes) else Path(image).read_bytes()
            except OSError:
                return ""
            digest.update(len(photo).to_bytes(8, "big") + photo)
        return digest.hexdigest()[:32]

    def embed(self, products: Iterable[Product], batch_size: int, problems: Problems) -> list[StoredView]:
        """A row for each readable view, ``batch_size`` photos per forward pass; the others go to ``problems``.

        Raises ``InputError`` when the model produces NaN or infinity, or a photo cannot be kept as ``photos`` says.
        """
        side = max(self.scorer.processor.image_processor.photo_side, *THUMBNAIL_SIZE)
        photos = list(_open_photos(products, problems, side))
        readable: dict[str, int] = {}
        for product, _, _ in photos:
            readable[product.id] = readable.get(product.id, 0) + 1
        contents = {
            product.id: self.content(product) if readable[product.id] == len(product.images) else ""
            for product, _, _ in photos
        }
        rows = []
        for start in range(0, len(photos), batch_size):
            rows += self._rows(photos[start : start + batch_size], contents)
        return rows

    def _rows(self, photos: list[tuple[Product, int, Image.Image]], contents: dict[str, str]) -> list[StoredView]:
        locked, boxes = zip(*(self._locked_portion(image) for _, _, image in photos), strict=True)
        pixels = np.stack(locked).transpose(0, 3, 1, 2).astype(np.float32) / 255  # (B, 3, S, S)
        batch = self.scorer.encode_pixels(pixels, [product.id for product, _, _ in photos])
        vectors, hubness, states = map(as_numpy, batch)  # (B, V), (B,), (B, 55, H)
        states = states.astype(np.float16)
        if not (np.isfinite(vectors).all() and np.isfinite(states).all()):
            raise InputError(f"the model in {self.scorer.name} produces NaN or infinite values: train it again")
        return [
            StoredView(
                product,
                view,
                vectors[i],
                float(hubness[i]),
                states[i],
                thumbnail(image),
                boxes[i],
                contents[product.id],
                *self._original(product.id, product.images[view]),
            )
            for i, (product, view, image) in enumerate(photos)
        ]

    def _locked_portion(self, image: Image.Image) -> tuple[np.ndarray, Box]:
        """The locked portion (S, S, 3), and its box on the photo."""
        settings = self.scorer.processor.image_processor
        box, _ = settings.locked_box(image)
        portion = cut_locked_portion(image, box, settings.image_size, settings.keep_aspect)
        x1, y1, x2, y2 = locked_window(box, settings.keep_aspect)
        return np.asarray(portion), (x1 / image.width, y1 / image.height, x2 / image.width, y2 / image.height)

    def _original(self, product_id: str, image: ImageSource) -> tuple[bytes, str]:
        """The photo's file and its path, as far as they are to be kept."""
        if self.photos == "stored":
            return image if isinstance(image, bytes) else Path(image).read_bytes(), ""
        if self.photos == "thumbnails":
            return b"", ""
        if isinstance(image, bytes):
            raise InputError(
                f"product {product_id}: its photo is embedded in the catalogue file and has no path to keep; "
                "index with --photos stored or --photos thumbnails"
            )
        return b"", str(Path(image).resolve())


def thumbnail(image: Image.Image) -> bytes:
    """The photo as a JPEG, scaled down to at most ``THUMBNAIL_SIZE``."""
    small = image.copy()
    small.thumbnail(THUMBNAIL_SIZE)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _open_photos(
    products: Iterable[Product], problems: Problems, side: int
) -> Iterator[tuple[Product, int, Image.Image]]:
    for product in products:
        if not product.images:
            problems.add("catalogue", f"product {product.id}", "no photo")
        opened, wrong = product.open_all(side)
        if wrong:
            problems.add("catalogue", f"product {product.id}", wrong)
        for view, image in opened:
            yield product, view, image
