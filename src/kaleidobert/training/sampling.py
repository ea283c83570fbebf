"""The order of training products: shuffled, or in runs of products that are hard to tell apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


class GroupedSampler(Sampler[int]):
    """A shuffled epoch in runs of ``group`` products that are alike, so that a batch holds hard negatives.

    Alike are those of one sub-category, or where ``vectors`` (N, V) are given, near neighbours (see `near_runs`).
    ``group`` 1 is a plain shuffle. The order depends on what is given, the seed and the epoch alone.
    """

    def __init__(self, subcategories: Sequence[str], group: int, seed: int, vectors: np.ndarray | None = None) -> None:
        self.labels = np.unique(np.asarray(subcategories), return_inverse=True)[1]
        self.group = group
        self.seed = seed
        self.vectors = vectors
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(len(self.labels))
        if self.group > 1:
            if self.vectors is None:
                order = order[np.argsort(self.labels[order], kind="stable")]
                runs = np.split(order, range(self.group, len(order), self.group))
            else:
                runs = near_runs(self.vectors, order, self.group, rng)
            order = np.concatenate([runs[index] for index in rng.permutation(len(runs))])
        return iter(order.tolist())


def near_runs(vectors: np.ndarray, order: np.ndarray, group: int, rng: np.random.Generator) -> list[np.ndarray]:
    """The rows in ``order`` in runs of ``group`` whose vectors (N, V) are near to each other; others every time.

    Halved again and again, between two rows drawn from it (a random projection tree: Dasgupta and Freund, STOC 2008).
    Batches of neighbours are GRIT-VLP's (Byun et al., ECCV 2022).
    """
    if len(order) <= group:
        return [order]
    one, other = vectors[rng.choice(order, 2, replace=False)]
    order = order[np.argsort(vectors[order] @ (one - other), kind="stable")]
    half = group * max(1, len(order) // group // 2)
    return near_runs(vectors, order[:half], group, rng) + near_runs(vectors, order[half:], group, rng)
