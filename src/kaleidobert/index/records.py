"""The records of a product index: rows to write, products found, and the description of the index."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kaleidobert.data.product import Product
from kaleidobert.errors import InputError

FORMAT = 4  # of a store; raised when a column changes its meaning
OLDEST_FORMAT = 3  # beside which a new version can be built
PHOTOS = ("thumbnails", "stored", "referenced")  # what may be kept of the original photos

ViewKey = tuple[str, int]  # (product id, view index)
Box = tuple[float, float, float, float]  # x1, y1, x2, y2 as fractions of the photo


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """The description of one version of a store: the model that made its embeddings, and how it is searched."""

    fingerprint: str  # KaleidoBertScorer.fingerprint
    model: str  # the model folder when the store was made, absolute
    vector_size: int  # P
    patches: int  # 55 for the published levels
    hidden_size: int  # H
    package: str  # the kaleidobert version that made it
    photos: str = "thumbnails"  # one of PHOTOS
    calibration: dict[str, Any] = field(default_factory=dict)  # of match probabilities
    rules: dict[str, Any] = field(default_factory=dict)  # the shop's own: synonyms, pins and so on
    index: dict[str, Any] = field(default_factory=dict)  # vector index: kind, rows, probes, refine, recall
    format: int = FORMAT

    def check_format(self, uri: str) -> None:
        """Raise ``InputError`` where the store at ``uri`` was made by an earlier version of this package."""
        if self.format != FORMAT:
            raise InputError(
                f"{uri} has store format {self.format}, this version of kaleidobert reads {FORMAT}: re-index into a "
                f"new version with `kaleidobert index DATA --model {self.model} --store {uri} --new-version`"
            )

    def check_model(self, fingerprint: str, model: str, uri: str) -> None:
        """Raise ``InputError`` unless this is the fingerprint of the model that made the store at ``uri``."""
        if self.fingerprint != fingerprint:
            raise InputError(
                f"{uri} holds embeddings of model {self.fingerprint} ({self.model}), not of model "
                f"{fingerprint} ({model}): re-index into a new version with `kaleidobert index DATA "
                f"--model {model} --store {uri} --new-version`"
            )


@dataclass(frozen=True, slots=True)
class StoredView:
    """One row to write: a view (photo) of a product.

    vector: (P,) image embedding of unit length. hubness: its hubness. states: (patches, H) patch states.
    thumbnail: JPEG.
    box: the locked portion as fractions of the photo; widened to a square, it may extend beyond the photo.
    content: hash that changes when the product does; "" if it must always be embedded again.
    photo: the original file, or b"". source: the original's path, or "".
    """

    product: Product
    view: int
    vector: np.ndarray
    hubness: float
    states: np.ndarray
    thumbnail: bytes
    box: Box = (0.0, 0.0, 1.0, 1.0)
    content: str = ""
    photo: bytes = b""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A product found by vector or full text, with its best view.

    hubness: of this view. cosine: similarity to the query vector, from -1 to 1.
    box: the view's locked portion, see ``StoredView``. group: shared by near-duplicates and variants.
    views: number of the product's photos. words: `Product.words`, with blanks between them. content: as in
    ``StoredView``.
    """

    id: str
    view: int
    title: str
    description: str
    category: str
    subcategory: str
    attributes: dict[str, str]
    hubness: float
    cosine: float
    box: Box = (0.0, 0.0, 1.0, 1.0)
    group: str = ""
    views: int = 1
    words: str = ""
    content: str = ""

    @property
    def key(self) -> ViewKey:
        """The key of the best view."""
        return self.id, self.view
