"""The order of training products: shuffled, or in groups of similar products, which are hard negatives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler


class Draw(NamedTuple):
    """A product in an epoch, on which, with the run's seed, everything random about it depends.

    joint: whether the joint objectives are about to be trained, so that masks are needed.
    """

    product: int
    epoch: int = 0
    joint: bool = True


class GroupedSampler(Sampler[Draw]):
    """A shuffled epoch in groups of ``group`` similar products, so that a batch holds hard negatives.

    A group shares its sub-category or, if ``vectors`` (N, V) are given, consists of near neighbours (see
    `neighbour_groups`). ``group`` 1 is a plain shuffle. The order is determined by the arguments and the epoch.
    ``products``: the indices of these products in their data set, by default their places. ``joint``: see `Draw`.
    """

    def __init__(
        self,
        subcategories: Sequence[str],
        group: int,
        seed: int,
        vectors: np.ndarray | None = None,
        products: Sequence[int] | None = None,
        joint: Callable[[], bool] = lambda: True,
    ) -> None:
        self.labels = np.unique(np.asarray(subcategories), return_inverse=True)[1]
        self.group = group
        self.seed = seed
        self.vectors = vectors
        self.products = range(len(subcategories)) if products is None else products
        self.joint = joint
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Draw]:
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(len(self.labels))
        if self.group > 1:
            if self.vectors is None:
                order = order[np.argsort(self.labels[order], kind="stable")]
                groups = np.split(order, range(self.group, len(order), self.group))
            else:
                groups = neighbour_groups(self.vectors, order, self.group, rng)
            order = np.concatenate([groups[index] for index in rng.permutation(len(groups))])
        return (Draw(self.products[place], self.epoch, self.joint()) for place in order.tolist())


def neighbour_groups(vectors: np.ndarray, order: np.ndarray, group: int, rng: np.random.Generator) -> list[np.ndarray]:
    """The rows in ``order`` divided into groups of ``group`` rows with similar vectors (N, V); random, by ``rng``.

    A random projection tree (Dasgupta and Freund, STOC 2008): the rows are recursively halved along the line through
    two random ones. Batches of neighbours are those of GRIT-VLP (Byun et al., ECCV 2022).
    """
    if len(order) <= group:
        return [order]
    one, other = vectors[rng.choice(order, 2, replace=False)]
    order = order[np.argsort(vectors[order] @ (one - other), kind="stable")]
    half = group * max(1, len(order) // group // 2)
    return neighbour_groups(vectors, order[:half], group, rng) + neighbour_groups(vectors, order[half:], group, rng)
