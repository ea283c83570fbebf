"""Batches of photos and texts from product indices.

Everything random about a product comes from a generator seeded by the run's seed, the epoch and the product: a batch
does not depend on who makes it, and a resumed run sees the same one. A process that trains on a shard of the batch
(`BatchShard`) gets the indices of all products, and makes its own rows alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import BatchEncoding, PreTrainedTokenizerFast

from kaleidobert.levels import Level, patch_count
from kaleidobert.model.distributed import WHOLE_BATCH, BatchShard
from kaleidobert.model.image_processing import to_pixel_values
from kaleidobert.training.augmentation import augment, draw_augmentation
from kaleidobert.training.cached_features import SplitFeatures
from kaleidobert.training.dataset import PreparedDataset
from kaleidobert.training.queries import QuerySampler
from kaleidobert.training.sampling import Draw
from kaleidobert.training.settings import TrainingSettings

TITLE_SHARE = 0.5  # of the texts that are titles alone in training
TEXT_ONLY_SHARE = 0.1  # of the texts whose photo is hidden from LM, which so learns p(text)
Generators = Sequence[np.random.Generator]


def collator_settings(training: TrainingSettings) -> dict[str, Any]:
    """The arguments of all collators that a run's settings give."""
    return {
        "seed": training.seed,
        "joint_samples": training.joint_samples,
        "strength": training.augmentation,
        "patch_dropout": training.patch_dropout,
        "word_dropout": training.word_dropout,
        "short_queries": training.short_queries,
    }


def with_pixels(batch: dict[str, Any]) -> dict[str, Any]:
    """A batch with pixel_values in place of photos (B, S, S, 3) uint8 and their augmentation, on their device."""
    rest = {name: values for name, values in batch.items() if name not in ("photos", "augmentation")}
    if "photos" not in batch:
        return rest
    pixels = to_pixel_values(batch["photos"])
    return rest | {"pixel_values": augment(pixels, batch["augmentation"]) if "augmentation" in batch else pixels}


class PairCollator:
    """Batches of photos and texts for `KaleidoBertForRetrieval`.

    pixel_values (B, 3, S, S), or cached features in their place where ``features`` are given; input_ids and
    attention_mask (B, T); text_group (B,), equal for equal titles; text_only (B,): whether a text's photo is
    hidden from LM; negative_draws (2, n): random numbers for the negatives of the first n products, at most
    ``joint_samples``. With ``patch_dropout`` also visible_patches (B, K), the patches of ``levels`` that embeddings and
    LM see; with ``word_dropout``, ``short_queries`` or ``chosen`` what `QuerySampler` draws. These, titles alone and
    text_only occur when ``augmented``; ``strength`` is that of the image augmentation.
    Of a sharded batch, this process's rows.
    """

    def __init__(
        self,
        dataset: PreparedDataset,
        tokenizer: PreTrainedTokenizerFast,
        seed: int,
        augmented: bool,
        joint_samples: int = 0,
        strength: float = 1.0,
        shard: BatchShard = WHOLE_BATCH,
        features: SplitFeatures | None = None,
        patch_dropout: float = 0.0,
        word_dropout: float = 0.0,
        short_queries: float = 0.0,
        chosen: Mapping[str, Sequence[str]] = MappingProxyType({}),
        levels: Sequence[Level] = (),
    ) -> None:
        self.dataset = dataset
        self.tokenizer = tokenizer
        self.seed = seed
        self.augmented = augmented
        self.joint_samples = joint_samples
        self.strength = strength
        self.shard = shard
        self.features = features
        self.levels = levels
        self.patch_dropout = patch_dropout if augmented else 0.0
        self.text_groups = dataset.text_groups()
        self.queries = None
        if augmented:
            self.queries = QuerySampler(dataset, tokenizer, word_dropout, short_queries, seed, chosen=chosen)

    def __call__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """The batch of these products in the first epoch."""
        return with_pixels(self.collate([Draw(index) for index in indices]))

    def collate(self, draws: Sequence[Draw]) -> dict[str, Tensor]:
        """A batch whose photos are still uint8, for `with_pixels` on the device that trains."""
        rngs = self.generators(draws)
        return self.pairs(draws, self.encode(draws, rngs), rngs)[0]

    def own(self, draws: Sequence[Draw]) -> Sequence[Draw]:
        """This process's rows of a batch."""
        return draws[self.shard.rows]

    def generators(self, draws: Sequence[Draw]) -> Generators:
        """One for each of this process's rows."""
        return [np.random.default_rng([self.seed, draw.epoch, draw.product]) for draw in self.own(draws)]

    def encode(self, draws: Sequence[Draw], rngs: Generators) -> BatchEncoding:
        """Token ids of the texts; when augmented, half of them are titles alone, as shoppers' queries are short."""
        own, data = self.own(draws), self.dataset
        titles = [self.augmented and rng.random() < TITLE_SHARE for rng in rngs]
        texts = [(data.titles if alone else data.texts)[each.product] for each, alone in zip(own, titles, strict=True)]
        return self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")

    def pairs(
        self, draws: Sequence[Draw], encoded: BatchEncoding, rngs: Generators
    ) -> tuple[dict[str, Tensor], np.ndarray]:
        """The batch, and the view (B,) of each product, counted over the data set: when augmented a random one."""
        chosen = np.array([draw.product for draw in self.own(draws)])
        views = self._views(chosen, rngs)
        batch = self._photos(views, rngs)
        batch |= {name: encoded[name] for name in ("input_ids", "attention_mask")}
        batch["text_group"] = torch.from_numpy(self.text_groups[chosen])
        numbers = np.array([rng.random(3) for rng in rngs])
        batch["negative_draws"] = torch.from_numpy(numbers[: self.joint_rows(draws), :2].T.astype(np.float32))
        batch["text_only"] = torch.from_numpy(self.augmented & (numbers[:, 2] < TEXT_ONLY_SHARE))
        if self.patch_dropout:
            batch["visible_patches"] = self._visible_patches(rngs)
        if self.queries is not None:
            batch |= self.queries(draws, self.shard, encoded, rngs)
        return batch, views

    def joint_rows(self, draws: Sequence[Draw]) -> int:
        """How many of this process's rows are among the first ``joint_samples`` of the batch."""
        return len(range(min(self.joint_samples, len(draws)))[self.shard.rows])

    def _views(self, chosen: np.ndarray, rngs: Generators) -> np.ndarray:
        first, end = self.dataset.first_view[chosen], self.dataset.first_view[chosen + 1]
        if not self.augmented:
            return first
        return np.array([rng.integers(*limits) for rng, *limits in zip(rngs, first, end, strict=True)])

    def _photos(self, views: np.ndarray, rngs: Generators) -> dict[str, Tensor]:
        """Photos, or cached features in their place; with the random numbers of their augmentation, if any."""
        batch, mirrored = {}, np.zeros(len(views), bool)
        if self.augmented:
            strength = 0.0 if self.features else self.strength
            drawn = np.stack([draw_augmentation(rng, strength) for rng in rngs])
            batch["augmentation"], mirrored = torch.from_numpy(drawn), drawn[:, 0] < 0
        if self.features:
            return batch | {"pixel_values": self.features.read(views, mirrored)}
        return batch | {"photos": torch.from_numpy(self.dataset.pixels[views])}

    def _visible_patches(self, rngs: Generators) -> Tensor:
        """(B, K) indices of the patches that are not dropped."""
        patches = patch_count(self.levels)
        kept = max(1, round(patches * (1 - self.patch_dropout)))
        return torch.from_numpy(np.sort([rng.permutation(patches)[:kept] for rng in rngs], axis=1))
