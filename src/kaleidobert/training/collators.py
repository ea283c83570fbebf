"""Training batches from product indices: photos, texts, masks, corruptions, and random numbers for negatives.

Everything random in a batch comes from one generator seeded by the run's seed and the batch's own indices, so
a resumed run sees the same masks as one that was never stopped. A process that trains on a shard of the batch
(`BatchShard`) gets all indices, draws the random numbers of all rows, and builds its own rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import BatchEncoding, PreTrainedTokenizerFast

from kaleidobert.alignment.masking import (
    PUBLISHED_TOKEN_MASKING,
    AlignmentPair,
    TokenMasking,
    mask_tokens,
    ordinary_tokens,
    plan_masks,
)
from kaleidobert.alignment.pair_store import Alignment, RunAlignment
from kaleidobert.levels import Level, patch_count
from kaleidobert.model.distributed import WHOLE_BATCH, BatchShard
from kaleidobert.model.image_processing import to_pixel_values
from kaleidobert.model.losses import NO_LABEL
from kaleidobert.model.pretext_tasks import level_tasks
from kaleidobert.training.augmentation import augment, draw_sides
from kaleidobert.training.cached_features import SplitFeatures
from kaleidobert.training.dataset import PreparedDataset
from kaleidobert.training.queries import QuerySampler
from kaleidobert.training.settings import TrainingSettings
from kaleidobert.vision.patches import pool_patches

TITLE_SHARE = 0.5  # of the texts that are titles alone in training
TEXT_ONLY_SHARE = 0.1  # of the texts whose photo is hidden from LM, which so learns p(text)
PLAIN = 0.02  # standard deviation of a colour, in [0, 1], below which a patch counts as plain


class SampledViews(NamedTuple):
    """For each product of the whole batch: the view (B,), and whether it is mirrored (B,)."""

    views: np.ndarray
    mirrored: np.ndarray


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
            self.queries = QuerySampler(dataset, tokenizer, word_dropout, short_queries, chosen=chosen)

    def __call__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        rng = self.generator(indices)
        return self.own(self.pairs(indices, self.encode(indices, rng), rng)[0])

    def own(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """This process's rows; pixels were made for these alone."""
        rows = {
            name: values[..., self.shard.rows] if name == "negative_draws" else values[self.shard.rows]
            for name, values in batch.items()
        }
        return rows | {"pixel_values": batch["pixel_values"]}

    def generator(self, indices: Sequence[int]) -> np.random.Generator:
        return np.random.default_rng([self.seed, *indices])

    def encode(self, indices: Sequence[int], rng: np.random.Generator) -> BatchEncoding:
        """Token ids of the texts; when augmented, half of them are titles alone, as shoppers' queries are short."""
        short = rng.random(len(indices)) < (TITLE_SHARE if self.augmented else 0)
        sources = (self.dataset.texts, self.dataset.titles)
        texts = [sources[alone][index] for index, alone in zip(indices, short.astype(int), strict=True)]
        return self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")

    def pairs(
        self, indices: Sequence[int], encoded: BatchEncoding, rng: np.random.Generator
    ) -> tuple[dict[str, Tensor], SampledViews]:
        """The batch with one view per product, at random when augmented, else the first."""
        chosen = np.asarray(indices)
        first = views = self.dataset.first_view[chosen]
        if self.augmented:
            views = rng.integers(views, self.dataset.first_view[chosen + 1])
        pixels, mirrored = self._photos(views, rng)
        batch = {
            "pixel_values": pixels,
            "input_ids": encoded["input_ids"],
            "attention_mask": encoded["attention_mask"],
            "text_group": torch.from_numpy(self.text_groups[chosen]),
            "negative_draws": torch.from_numpy(rng.random((2, min(self.joint_samples, len(chosen))), dtype=np.float32)),
        }
        share = TEXT_ONLY_SHARE if self.augmented else 0
        batch["text_only"] = torch.from_numpy(rng.random(len(chosen)) < share)
        if self.patch_dropout:
            batch["visible_patches"] = self._visible_patches(len(chosen), rng)
        if self.queries is not None:
            batch |= self.queries(chosen, encoded, rng)
        return batch, SampledViews(views - first, mirrored)

    def _visible_patches(self, rows: int, rng: np.random.Generator) -> Tensor:
        """(B, K) indices of the patches that are not dropped."""
        patches = patch_count(self.levels)
        kept = max(1, round(patches * (1 - self.patch_dropout)))
        return torch.from_numpy(np.sort(rng.random((rows, patches)).argsort(axis=1)[:, :kept], axis=1))

    def _photos(self, views: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, np.ndarray]:
        """Pixels or cached features of this process's rows, and which of all rows (B,) are mirrored."""
        rows, mirrored = self.shard.rows, np.zeros(len(views), bool)
        if self.features:
            mirrored = draw_sides(rng, len(views)) < 0 if self.augmented else mirrored
            return self.features.read(views[rows], mirrored[rows]), mirrored
        pixels = to_pixel_values(torch.from_numpy(self.dataset.pixels[views[rows]]))
        return augment(pixels, rng, self.strength, self.shard) if self.augmented else (pixels, mirrored)


def plain_patches(pixels: Tensor, levels: Sequence[Level]) -> Tensor:
    """(n, P) bool: patches of the photos (n, 3, S, S) that show hardly more than one colour."""
    mean, square = (pool_patches(each, levels) for each in (pixels, pixels.square()))  # (n, P, 3)
    return ((square - mean.square()).clamp(min=0).sqrt() < PLAIN).all(dim=-1)


class PreTrainingCollator(PairCollator):
    """Batches for `KaleidoBertForPreTraining`: the pairs, and the masks and labels of the first n products.

    Words are masked in all texts of the batch, as any of them may become a wrong text. Plain patches carry nothing and
    are not masked. ``joint``: whether the joint objectives are about to be trained; before, a batch has only pairs.
    With ``alignment``, aligned pairs are masked first, and guided (n,) is the share of the masked
    words and patches that belong to a pair; without it masking is random. subcategory (B,) is equal for products of one
    sub-category; lender_draws (n,): random numbers for the products that lend patches. ``corruption``: "levels" or
    "photos"; ``token_masking``: what masked tokens become; see `model.objectives`. In photos, the task of a product is
    drawn first, and only patches of its level are masked: none if it is a task on the whole level, or no task.
    """

    def __init__(
        self,
        dataset: PreparedDataset,
        tokenizer: PreTrainedTokenizerFast,
        levels: Sequence[Level],
        seed: int,
        augmented: bool,
        joint_samples: int,
        alignment: Alignment | RunAlignment | None = None,
        joint: Callable[[], bool] | None = None,
        corruption: str = "levels",
        token_masking: TokenMasking = PUBLISHED_TOKEN_MASKING,
        **others: Any,
    ) -> None:
        super().__init__(dataset, tokenizer, seed, augmented, joint_samples, levels=levels, **others)
        self.subcategories = np.unique(dataset.subcategories, return_inverse=True)[1].astype(np.int64)
        self.corruption = corruption
        self.token_masking = token_masking
        self.alignment = alignment
        self.joint = joint
        self.replacements = ordinary_tokens(tokenizer)

    def __call__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        rng = self.generator(indices)
        encoded = self.encode(indices, rng)
        batch, sampled = self.pairs(indices, encoded, rng)
        if self.joint is not None and not self.joint():
            del batch["negative_draws"]
            return self.own(batch)
        n, ids = batch["negative_draws"].shape[1], batch["input_ids"].numpy()
        batch["lender_draws"] = torch.from_numpy(rng.random(n, dtype=np.float32))
        hidden = np.zeros((n, patch_count(self.levels)), dtype=bool)
        masked_ids, token_labels = ids.copy(), np.full_like(ids[:n], NO_LABEL)
        level_labels = np.full((n, len(self.levels)), NO_LABEL, dtype=np.int64)
        guided = np.zeros(n, dtype=np.float32)
        plain = self._plain_patches(indices[:n], sampled)
        if self.alignment is not None:
            views = sampled.views[:n].tolist()
            self.alignment.find([(self.dataset.ids[index], view) for index, view in zip(indices, views, strict=False)])
        for row, index in enumerate(indices):
            inside = row < n
            pairs: Sequence[AlignmentPair] = ()
            if inside and self.alignment is not None:
                view, mirrored = int(sampled.views[row]), bool(sampled.mirrored[row])
                pairs = self.alignment.pairs(self.dataset.ids[index], encoded, row, self.levels, view, mirrored)
            corrupted = self._corrupted_levels(rng) if inside else set()
            levels, excluded = (self._quotas(corrupted), plain[row]) if inside else ((), None)
            plan = plan_masks(encoded.word_ids(row), levels, rng, pairs, excluded)
            masked_ids[row] = self._masked(ids[row], plan.tokens, rng)
            if inside:
                token_labels[row, plan.tokens] = ids[row, plan.tokens]
                hidden[row], level_labels[row] = plan.patches, self._level_labels(corrupted, rng)
                guided[row] = plan.guided / max(1, plan.drawn)
        arrays = {"masked_ids": masked_ids, "token_labels": token_labels}
        arrays["subcategory"] = self.subcategories[np.asarray(indices)]
        arrays |= {"level_labels": level_labels, "masked_patches": hidden}
        if self.alignment is not None:
            arrays["guided"] = guided
        return self.own(batch | {name: torch.from_numpy(array) for name, array in arrays.items()})

    def _plain_patches(self, indices: Sequence[int], sampled: SampledViews) -> np.ndarray:
        """(n, P) bool: plain patches before augmentation, also of rows that other processes build."""
        views = self.dataset.first_view[np.asarray(indices, dtype=int)] + sampled.views[: len(indices)]
        pixels = to_pixel_values(torch.from_numpy(self.dataset.pixels[views]))
        mirrored = torch.from_numpy(sampled.mirrored[: len(indices)]).view(-1, 1, 1, 1)
        return plain_patches(torch.where(mirrored, pixels.flip(-1), pixels), self.levels).numpy()

    def _masked(self, ids: np.ndarray, chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Token ids (T,) with the chosen (T,) bool masked."""
        special = self.tokenizer.mask_token_id, self.tokenizer.pad_token_id
        return mask_tokens(ids, chosen, *special, self.replacements, rng, self.token_masking)

    def _corrupted_levels(self, rng: np.random.Generator) -> set[int]:
        """The levels of one product that are corrupted: all that have a task, or in photos one of them or none."""
        indices = [each.index for each in level_tasks(self.levels)]
        return set(indices) if self.corruption == "levels" else {int(rng.choice([-1, *indices]))}

    def _quotas(self, corrupted: set[int]) -> list[Level]:
        """The table of levels with the numbers of patches to mask: none but where a task hides patches."""
        hiding = {each.index for each in level_tasks(self.levels) if each.task.patchwise} & corrupted
        return [level if index in hiding else Level(level.grid) for index, level in enumerate(self.levels)]

    def _level_labels(self, corrupted: set[int], rng: np.random.Generator) -> np.ndarray:
        """(N,) int64: each level's label for one product; NO_LABEL for levels that are not corrupted as a whole."""
        labels = np.full(len(self.levels), NO_LABEL, dtype=np.int64)
        for each in level_tasks(self.levels):
            if each.index in corrupted:
                labels[each.index] = each.task.draw_label(each.level, rng)
        return labels
