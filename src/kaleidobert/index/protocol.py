"""What ranking and serving need of a product index; `lancedb_store` implements it."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from kaleidobert.index.facet_column import Counts
from kaleidobert.index.filters import NO_FILTERS, Filters
from kaleidobert.index.records import Box, Candidate, StoredView, StoreInfo, ViewKey
from kaleidobert.words import Lexicon, Terms


class ProductIndex(Protocol):
    """One version of an index of products, with one row per view (photo). Safe to read from several threads.

    Where views are looked up by key, those that have been deleted meanwhile are missing from the result.
    """

    @property
    def uri(self) -> str: ...

    @property
    def info(self) -> StoreInfo: ...

    @property
    def version(self) -> str:
        """Changes with every write."""
        ...

    @property
    def superseded(self) -> bool:
        """Whether another version is searched now, so that the index should be opened again."""
        ...

    def check_model(self, fingerprint: str, model: str) -> None:
        """Raise ``InputError`` unless the index was made with this model."""
        ...

    # Search

    def hold_vectors(self) -> None:
        """From now on keep in memory what makes searches fast, in a process that answers many."""
        ...

    def recall(self, vector: np.ndarray, count: int, filters: Filters = NO_FILTERS) -> list[Candidate]:
        """The ``count`` products nearest to ``vector`` (P,) by cosine, each with its best view; ties by id."""
        ...

    def text_recall(
        self, terms: Terms, count: int, filters: Filters = NO_FILTERS, vector: np.ndarray | None = None
    ) -> list[tuple[Candidate, float]]:
        """The ``count`` products whose words match best by full text, with their scores.

        With a ``vector`` (P,), each has the view nearest to it and that cosine; otherwise the cosine is 0.
        """
        ...

    def product(self, product_id: str) -> tuple[Candidate, list[int]] | None:
        """A product with its first view, and the indices of its views; None for an unknown id."""
        ...

    def members(self, groups: Collection[str]) -> list[Candidate]:
        """The products of these groups, each with its first view, by id; the cosines are 0."""
        ...

    # Views by key

    def vectors(self, keys: Iterable[ViewKey]) -> dict[ViewKey, np.ndarray]:
        """Image embeddings (P,), unit length."""
        ...

    def states(self, keys: Iterable[ViewKey]) -> dict[ViewKey, np.ndarray]:
        """Patch states (patches, H) for the joint model."""
        ...

    def boxes(self, keys: Iterable[ViewKey]) -> dict[ViewKey, Box]:
        """Locked portions as fractions of the photo."""
        ...

    def thumbnails(self, keys: Iterable[ViewKey]) -> dict[ViewKey, bytes]:
        """JPEG thumbnails."""
        ...

    def photos(self, keys: Iterable[ViewKey], folder: Path | None = None) -> dict[ViewKey, bytes]:
        """Original image files; thumbnails where the originals are not kept.

        Those kept by reference are read below ``folder`` alone, so that no store can name other files.
        """
        ...

    # The catalogue as a whole

    def rows(self) -> int:
        """Number of views."""
        ...

    def check_files(self) -> None:
        """Read a little of each file that holds rows. Raises where one is missing or damaged."""
        ...

    def product_ids(self) -> Sequence[str]: ...

    def titles(self) -> list[str]:
        """The title of every product."""
        ...

    def words(self) -> Container[str]:
        """The lower-case words of all titles and descriptions."""
        ...

    def lexicon(self) -> Lexicon:
        """How many products have each of `Product.words`."""
        ...

    def filter_names(self) -> list[str]:
        """The names that filters may use: category, subcategory and all attributes."""
        ...

    def count(self, filters: Filters = NO_FILTERS) -> int:
        """Number of products that pass."""
        ...

    def facets(
        self, filters: Filters = NO_FILTERS, names: Iterable[str] | None = None, ids: Collection[str] | None = None
    ) -> dict[str, Counts]:
        """For each name (None: all) its values among the products that pass; only among ``ids``, if given."""
        ...

    # Writing

    def upsert(self, views: Sequence[StoredView]) -> None:
        """Insert or replace products. All views of a product must be in one call."""
        ...

    def delete(self, ids: Collection[str]) -> int:
        """Remove products; returns how many existed."""
        ...

    def optimize(self) -> None:
        """Upkeep after many writes."""
        ...
