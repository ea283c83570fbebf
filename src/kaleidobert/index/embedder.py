"""Products -> the rows that a store keeps: vectors, patch states, thumbnails, and where the product was seen."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from kaleidobert.data.product import ImageSource, Product
from kaleidobert.data.readers import Problems
from kaleidobert.errors import InputError
from kaleidobert.index.records import Box, StoredView
from kaleidobert.model.processing import to_pixel_values
from kaleidobert.scoring.protocol import PairScorer
from kaleidobert.vision.patches import cut_locked_portion, locked_window

THUMBNAIL_SIZE = (256, 512)  # at most this wide and high


class Embedder:
    """Makes rows of products with one model; ``photos`` says what is kept of a photo besides the thumbnail."""

    def __init__(self, scorer: PairScorer, photos: str = "thumbnails") -> None:
        self.scorer = scorer
        self.photos = photos
        self._settings = json.dumps(
            [scorer.processor.image_processor.to_dict(), THUMBNAIL_SIZE], sort_keys=True, default=str
        )

    def content(self, product: Product) -> str:
        """What changes when anything does that a row is made of; "" where a photo cannot be read."""
        fields = (product.id, product.title, product.description, product.category, product.subcategory)
        written = json.dumps([self._settings, self.photos, fields, dict(product.attributes)], ensure_ascii=False)
        digest = hashlib.sha256(written.encode())
        for image in product.images:
            try:
                photo = image if isinstance(image, bytes) else Path(image).read_bytes()
            except OSError:
                return ""
            digest.update(len(photo).to_bytes(8, "big") + photo)
        return digest.hexdigest()[:32]

    @torch.inference_mode()
    def embed(self, products: Iterable[Product], batch_size: int, problems: Problems) -> list[StoredView]:
        """A row for every readable view, ``batch_size`` photos a forward; the others go to ``problems``."""
        photos = list(_photos(products, problems))
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
        locked, boxes = zip(*(self._lock(image) for _, _, image in photos), strict=True)
        pixels = to_pixel_values(torch.from_numpy(np.stack(locked)))
        batch = self.scorer.encode_pixels(pixels)
        vectors, hubness = batch.embeds.float().cpu().numpy(), batch.hubness.tolist()  # (B, V), (B,)
        states = batch.patch_states.to("cpu", torch.float16).numpy()  # (B, 55, H)
        if not (np.isfinite(vectors).all() and np.isfinite(states).all()):
            raise InputError(f"the model in {self.scorer.name} gives values that are no numbers: train it again")
        return [
            StoredView(
                product,
                view,
                vectors[i],
                hubness[i],
                states[i],
                thumbnail(image),
                boxes[i],
                contents[product.id],
                *self._kept(product.id, product.images[view]),
            )
            for i, (product, view, image) in enumerate(photos)
        ]

    def _lock(self, image: Image.Image) -> tuple[np.ndarray, Box]:
        """The locked portion (S, S, 3), and what it shows of the photo."""
        settings = self.scorer.processor.image_processor
        box, _ = settings.locked_box(image)
        portion = cut_locked_portion(image, box, settings.image_size, settings.keep_aspect)
        x1, y1, x2, y2 = locked_window(box, settings.keep_aspect)
        return np.asarray(portion), (x1 / image.width, y1 / image.height, x2 / image.width, y2 / image.height)

    def _kept(self, product_id: str, image: ImageSource) -> tuple[bytes, str]:
        """The photo's bytes and where it lies, as far as they are kept."""
        if self.photos == "stored":
            return image if isinstance(image, bytes) else Path(image).read_bytes(), ""
        if self.photos == "thumbnails":
            return b"", ""
        if isinstance(image, bytes):
            raise InputError(
                f"product {product_id}: its photo lies inside the catalogue, so there is nothing to refer to; "
                "index with --photos stored or --photos thumbnails"
            )
        return b"", str(Path(image).resolve())


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
