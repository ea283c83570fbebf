"""Batches for a model of any table of levels, as the collator would make them but from random numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from kaleidobert.levels import level_slices, patch_count
from kaleidobert.model import KaleidoBertConfig
from kaleidobert.model.losses import NO_LABEL


@pytest.fixture(scope="session")
def make_batch() -> Callable:
    def build(config: KaleidoBertConfig, products: int = 4, seed: int = 0) -> dict[str, Tensor]:
        numbers = torch.Generator().manual_seed(seed)
        levels, length = config.level_table, 8
        ids = torch.randint(5, config.encoder_config.vocab_size, (products, length), generator=numbers)
        token_labels = torch.full_like(ids, NO_LABEL)
        token_labels[:, 2:4] = ids[:, 2:4]
        masked_ids = ids.clone()
        masked_ids[:, 2:4] = 4
        hidden = torch.zeros(products, patch_count(levels), dtype=torch.bool)
        labels = torch.full((products, len(levels)), NO_LABEL)
        for index, (level, where) in enumerate(zip(levels, level_slices(levels), strict=True)):
            draws = torch.rand(products, level.patches, generator=numbers)
            hidden[:, where] = draws.argsort(dim=1) < level.masked
            if level.labels:
                labels[:, index] = torch.randint(level.labels, (products,), generator=numbers)
            if level.task == "camouflage":
                labels[:, index] = hidden[:, where].int().argmax(dim=1)
        mask = torch.ones_like(ids)
        mask[0, 6:] = 0
        return {
            "pixel_values": torch.rand(products, 3, config.image_size, config.image_size, generator=numbers),
            "input_ids": ids,
            "attention_mask": mask,
            "text_group": torch.arange(products),
            "masked_ids": masked_ids,
            "token_labels": token_labels,
            "level_labels": labels,
            "hidden_patches": hidden,
            "draws": torch.rand(2, products, generator=numbers),
            "unseen": torch.arange(products) == 1,
        }

    return build
