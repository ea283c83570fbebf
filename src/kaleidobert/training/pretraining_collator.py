"""Batches for pre-training: the pairs, with masks, corruptions and labels for the joint objectives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
from kaleidobert.model.image_processing import to_pixel_values
from kaleidobert.model.losses import NO_LABEL
from kaleidobert.model.pretext_tasks import level_tasks
from kaleidobert.training.collators import PairCollator
from kaleidobert.training.dataset import PreparedDataset
from kaleidobert.training.sampling import Draw
from kaleidobert.vision.patches import pool_patches

PLAIN = 0.02  # standard deviation of a colour, in [0, 1], below which a patch counts as plain


class PreTrainingCollator(PairCollator):
    """Batches for `KaleidoBertForPreTraining`: the pairs, and the masks and labels of the first n products.

    Words are masked in all texts of the batch, as any of them may become a wrong text. Plain patches carry nothing and
    are not masked. Before the joint objectives (`Draw.joint`), a batch has only pairs.
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
        corruption: str = "levels",
        token_masking: TokenMasking = PUBLISHED_TOKEN_MASKING,
        **others: Any,
    ) -> None:
        super().__init__(dataset, tokenizer, seed, augmented, joint_samples, levels=levels, **others)
        self.subcategories = np.unique(dataset.subcategories, return_inverse=True)[1].astype(np.int64)
        self.corruption = corruption
        self.token_masking = token_masking
        self.alignment = alignment
        self.replacements = ordinary_tokens(tokenizer)

    def collate(self, draws: Sequence[Draw]) -> dict[str, Tensor]:
        rngs = self.generators(draws)
        encoded = self.encode(draws, rngs)
        batch, views = self.pairs(draws, encoded, rngs)
        if not draws[0].joint:
            del batch["negative_draws"]
            return batch
        n, ids = self.joint_rows(draws), batch["input_ids"].numpy()
        mirrored = batch["augmentation"][:n, 0].numpy() < 0 if self.augmented else np.zeros(n, bool)
        chosen = np.array([draw.product for draw in self.own(draws)])
        pairs = self._pairs(chosen[:n], views[:n], mirrored, encoded)
        plain = self._plain_patches(views[:n], mirrored)
        masked_ids, token_labels = ids.copy(), np.full_like(ids[:n], NO_LABEL)
        hidden = np.zeros((n, patch_count(self.levels)), dtype=bool)
        level_labels = np.full((n, len(self.levels)), NO_LABEL, dtype=np.int64)
        guided, lender_draws = np.zeros((2, n), dtype=np.float32)
        for row, rng in enumerate(rngs):
            inside = row < n
            corrupted = self._corrupted_levels(rng) if inside else set()
            levels, excluded = (self._quotas(corrupted), plain[row]) if inside else ((), None)
            plan = plan_masks(encoded.word_ids(row), levels, rng, pairs[row] if inside else (), excluded)
            length = int(batch["attention_mask"][row].sum())  # whatever the texts beside it are padded to
            masked_ids[row, :length] = self._masked(ids[row, :length], plan.tokens[:length], rng)
            if inside:
                token_labels[row, plan.tokens] = ids[row, plan.tokens]
                hidden[row], level_labels[row] = plan.patches, self._level_labels(corrupted, rng)
                guided[row], lender_draws[row] = plan.guided / max(1, plan.drawn), rng.random()
        arrays = {"masked_ids": masked_ids, "token_labels": token_labels, "lender_draws": lender_draws}
        arrays |= {"level_labels": level_labels, "masked_patches": hidden, "subcategory": self.subcategories[chosen]}
        if self.alignment is not None:
            arrays["guided"] = guided
        return batch | {name: torch.from_numpy(array) for name, array in arrays.items()}

    def _pairs(
        self, chosen: np.ndarray, views: np.ndarray, mirrored: np.ndarray, encoded: BatchEncoding
    ) -> list[Sequence[AlignmentPair]]:
        """The aligned pairs of products (n,) in these views (n,), counted over the data set."""
        if self.alignment is None:
            return [()] * len(chosen)
        ids = [self.dataset.ids[index] for index in chosen]
        own = (views - self.dataset.first_view[chosen]).tolist()
        self.alignment.find([*zip(ids, own, strict=True)])
        rows = enumerate(zip(ids, own, mirrored.tolist(), strict=True))
        return [self.alignment.pairs(id_, encoded, row, self.levels, *view) for row, (id_, *view) in rows]

    def _plain_patches(self, views: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
        """(n, P) bool: plain patches before augmentation."""
        pixels = to_pixel_values(torch.from_numpy(self.dataset.pixels[views]))
        turned = torch.from_numpy(mirrored).view(-1, 1, 1, 1)
        return plain_patches(torch.where(turned, pixels.flip(-1), pixels), self.levels).numpy()

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


def plain_patches(pixels: Tensor, levels: Sequence[Level]) -> Tensor:
    """(n, P) bool: patches of the photos (n, 3, S, S) that show hardly more than one colour."""
    mean, square = (pool_patches(each, levels) for each in (pixels, pixels.square()))  # (n, P, 3)
    return ((square - mean.square()).clamp(min=0).sqrt() < PLAIN).all(dim=-1)
