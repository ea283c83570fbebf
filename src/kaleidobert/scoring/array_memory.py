"""The retrieval memory in numpy, for a server without torch: what `cross_modal_memory` and `layout_memory` compute.

Only what a search asks of it; tests/scoring/test_array_memory.py compares each part with theirs, which explain it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import safe_open
from scipy.special import logsumexp, softmax

from kaleidobert.scoring.layouts import LAYOUT_SHARPNESS, SMOOTHING, TEXT_SHARPNESS
from kaleidobert.scoring.memory_file import MEMORY_FILE, key_of, reading_memory


class ArrayNeighbours(NamedTuple):
    """The memory rows (N, K) of the nearest layouts of N photos, and their shares (N, K)."""

    rows: np.ndarray
    shares: np.ndarray


class ArrayMemory:
    """The memory of M training products. Floats are upcast to float32 when it is loaded.

    ``own`` (N,), of `rows`: memory rows that an embedding or a photo may not recall; -1 for none.
    """

    def __init__(self, tensors: Mapping[str, np.ndarray], padding: int) -> None:
        self._tensors = {
            name: array.astype(np.float32) if array.dtype == np.float16 else array for name, array in tensors.items()
        }
        self._padding = padding
        self._row_of = {key: row for row, key in enumerate(tensors["products"].tolist())}

    @classmethod
    def load(cls, folder: Path) -> ArrayMemory | None:
        """The memory in a folder; None if it has none. Raises ``InputError`` for a damaged file."""
        file = folder / MEMORY_FILE
        if not file.is_file():
            return None
        with reading_memory(file), safe_open(file, "np") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            return cls(tensors, int(opened.metadata()["padding"]))

    def rows(self, ids: Sequence[str]) -> np.ndarray:
        """The memory row (N,) of each of these products, -1 where it is not a training product."""
        return np.array([self._row_of.get(key_of(each), -1) for each in ids], dtype=np.int64)

    # Embeddings

    def enhance_images(
        self, embeds: np.ndarray, scale: float, weight: float, neighbours: int, own: np.ndarray | None = None
    ) -> np.ndarray:
        """Image embeddings (N, V) plus ``weight`` times the texts of the nearest training photos."""
        return self._enhance("images", "texts", embeds, scale, weight, neighbours, own)

    def enhance_texts(self, embeds: np.ndarray, scale: float, weight: float, neighbours: int) -> np.ndarray:
        """Text embeddings (N, V) plus ``weight`` times the photos of the nearest training texts."""
        return self._enhance("texts", "images", embeds, scale, weight, neighbours, None)

    def image_hubness(self, embeds: np.ndarray, scale: float, own: np.ndarray | None = None) -> np.ndarray:
        """The hubness (N,) of image embeddings (N, V), on the scale of cosines."""
        return self._hubness(embeds, "texts", scale, own)

    def text_hubness(self, embeds: np.ndarray, scale: float) -> np.ndarray:
        """The hubness (N,) of text embeddings (N, V), on the scale of cosines."""
        return self._hubness(embeds, "images", scale, None)

    def _enhance(
        self,
        side: str,
        other: str,
        embeds: np.ndarray,
        scale: float,
        weight: float,
        neighbours: int,
        own: np.ndarray | None,
    ) -> np.ndarray:
        if not weight:
            return embeds
        keys, values = self._tensors[f"pairs.{side}"], self._tensors[f"pairs.{other}"]
        cosines, rows = _best(_leave_out(embeds @ keys.T, own), neighbours)  # (N, K)
        shares = softmax(scale * cosines, axis=1)
        remembered = (shares[..., None] * values[rows]).sum(axis=1)  # (N, V)
        return _unit(embeds + weight * _unit(remembered))

    def _hubness(self, embeds: np.ndarray, other: str, scale: float, own: np.ndarray | None) -> np.ndarray:
        keys = self._tensors[f"pairs.{other}"]
        scores = _leave_out(scale * embeds @ keys.T, own)
        others = len(keys) if own is None else np.maximum(len(keys) - (own >= 0), 1)
        return (logsumexp(scores, axis=1) - np.log(others)) / scale

    # Joint scores

    def nearest(self, states: np.ndarray, neighbours: int, own: np.ndarray | None = None) -> ArrayNeighbours:
        """The training products with the nearest layouts, for photos with flattened patch states (N, F)."""
        layouts = _unit((states - self._tensors["layouts.mean"]) @ self._tensors["layouts.basis"])
        likeness, rows = _best(_leave_out(layouts @ self._tensors["layouts.layouts"].T, own), neighbours)
        return ArrayNeighbours(rows, softmax(LAYOUT_SHARPNESS * likeness, axis=1))

    def word_probabilities(self, input_ids: np.ndarray, neighbours: ArrayNeighbours) -> np.ndarray:
        """p (N, T - 1) of each token of texts (N, T) after the first, by the texts of the photos' neighbours."""
        tokens = self._tensors["layouts.tokens"][neighbours.rows]  # (N, K, L)
        odds = []
        for last, token in zip(input_ids[:, :-1].T, input_ids[:, 1:].T, strict=True):
            has_last = tokens[:, :, :-1] == last[:, None, None]
            follows = has_last & (tokens[:, :, 1:] == token[:, None, None])
            shares = [(neighbours.shares * each.any(axis=2)).sum(axis=1) for each in (follows, has_last)]
            odds.append(shares[0] / (shares[1] + SMOOTHING))
        return np.stack(odds, axis=1)

    def neighbour_text_pmi(self, input_ids: np.ndarray, neighbours: ArrayNeighbours) -> np.ndarray:
        """The first term (N,) of the neighbour-text PMI of texts (N, T) and the neighbours of N photos, in nats."""
        tokens, weights = (self._tensors[f"layouts.{name}"][neighbours.rows] for name in ("tokens", "weights"))
        shared = (tokens[..., None] == input_ids[:, None, None, :]).any(axis=-1)  # (N, K, L)
        cosine = (weights * shared).sum(axis=2) / self._norms(input_ids)[:, None]
        with np.errstate(divide="ignore"):  # of a share of 0
            return logsumexp(np.log(neighbours.shares) + TEXT_SHARPNESS * cosine, axis=1)

    def text_density(self, input_ids: np.ndarray) -> np.ndarray:
        """The second term (N,) of the neighbour-text PMI: the density of texts (N, T) in the memory, in nats."""
        tokens, weights = self._tensors["layouts.tokens"], self._tensors["layouts.weights"]  # (M, L)
        has = np.zeros((len(input_ids), len(self._tensors["layouts.idf"])), dtype=np.float32)
        np.put_along_axis(has, input_ids, 1.0, axis=1)
        sums = np.stack([(each[tokens] * weights).sum(axis=1) for each in has])  # (N, M)
        scores = TEXT_SHARPNESS * sums / self._norms(input_ids)[:, None]
        return logsumexp(scores, axis=1) - np.log(len(tokens))

    def _norms(self, input_ids: np.ndarray) -> np.ndarray:
        """The norms (N,) of texts (N, T) as vectors of the idf of their distinct tokens."""
        earlier = np.tril(input_ids[:, :, None] == input_ids[:, None, :], -1).any(axis=2)
        squares = self._tensors["layouts.idf"][input_ids] ** 2 * (~earlier & (input_ids != self._padding))
        return np.maximum(np.sqrt(squares.sum(axis=1)), 1e-6)


def _leave_out(scores: np.ndarray, own: np.ndarray | None) -> np.ndarray:
    """Scores (N, M) with each row's ``own`` memory row (N,), -1 for none, below all others."""
    if own is not None:
        known = np.flatnonzero(own >= 0)
        scores[known, own[known]] = np.finfo(scores.dtype).min / 64  # finite when a kernel multiplies it
    return scores


def _best(scores: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` highest of each row of scores (N, M), best first, and their columns, (N, K) each."""
    count = min(count, scores.shape[1])
    columns = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    found = np.take_along_axis(scores, columns, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(columns, order, axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
