"""What the joint model reads of stored photos, kept in memory for those that were re-ranked last.

A photo's keys and values in the fusion layers do not depend on the text. They take most of the time of re-ranking, and
popular products are re-ranked again and again.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from cachetools import LRUCache

from kaleidobert.index.protocol import ProductIndex
from kaleidobert.index.records import Candidate
from kaleidobert.scoring.protocol import PairScorer, PhotoPrefix

CACHED_BYTES = 512 * 2**20  # about 1,800 photos of a model with three fusion layers and states of 384 values
BATCH = 64  # photos per forward pass


class CachedPhoto(NamedTuple):
    """A photo's patch states (1, P, H) and its prefix, None for a model without one, in half precision."""

    states: np.ndarray
    prefix: PhotoPrefix | None

    @property
    def nbytes(self) -> int:
        return self.states.nbytes + (0 if self.prefix is None else self.prefix.nbytes)


class PhotoBatch(NamedTuple):
    """M photos: states (M, P, H), their prefix, and the ids of their products.

    rows (N,): the photo of each of N products asked for, -1 where it was deleted meanwhile.
    """

    states: np.ndarray
    prefix: PhotoPrefix | None
    ids: list[str]
    rows: np.ndarray


class PhotoCache:
    """Photos of one index, read and encoded by one scorer. Safe to use from several threads."""

    def __init__(self, scorer: PairScorer, index: ProductIndex, size: int = CACHED_BYTES) -> None:
        self._scorer = scorer
        self._index = index
        self._cached: LRUCache[Hashable, CachedPhoto] = LRUCache(size, lambda photo: photo.nbytes)
        self._lock = threading.Lock()

    def photos(self, products: Sequence[Candidate]) -> PhotoBatch:
        """The photos of these N products' views, each once."""
        version = self._index.version  # read before the photos: what is newer is read again
        keys = [(*each.key, each.content or version) for each in products]
        views = dict(zip(keys, products, strict=True))
        with self._lock:
            found = {key: self._cached[key] for key in views if key in self._cached}
        read = self._read({key: product for key, product in views.items() if key not in found})
        with self._lock:
            for key, photo in read.items():
                if photo.nbytes <= self._cached.maxsize:
                    self._cached[key] = photo
        found |= read
        rows = {key: row for row, key in enumerate(found)}
        places = np.array([rows.get(key, -1) for key in keys])
        photos = list(found.values())
        states = np.concatenate([photo.states for photo in photos]).astype(np.float32) if photos else np.zeros(0)
        first, *others = [photo.prefix for photo in photos] or [None]
        prefix = None if first is None else first.joined(others)
        return PhotoBatch(states, prefix, [views[key].id for key in found], places)

    def _read(self, views: dict[tuple, Candidate]) -> dict[tuple, CachedPhoto]:
        stored = self._index.states(each.key for each in views.values()) if views else {}
        present = [(key, stored[each.key]) for key, each in views.items() if each.key in stored]
        found: dict[tuple, CachedPhoto] = {}
        for start in range(0, len(present), BATCH):
            keys, arrays = zip(*present[start : start + BATCH], strict=True)
            prefix = self._scorer.encode_prefix(np.stack(arrays))
            for row, (key, states) in enumerate(zip(keys, arrays, strict=True)):
                found[key] = CachedPhoto(states[None].astype(np.float16), None if prefix is None else prefix.row(row))
        return found
