"""A captioner of a few thousand weights, overfitted to eight drawn products."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from kaleidobert.alignment.captioner import Captioner, CaptionerConfig
from kaleidobert.model.tokenizer import train_tokenizer

SMALL = {"layer_type": "basic", "embedding_size": 8, "hidden_sizes": [16, 24], "depths": [1, 1]}
SIZES = {"image_size": 56, "embedding_size": 24, "hidden_size": 32, "attention_size": 16, "dropout": 0.0}


def config(**settings):
    return CaptionerConfig(backbone_config={**SMALL, "out_features": ["stage2"]}, **SIZES | settings)


@pytest.fixture(scope="session")
def small_config():
    """Builds a `CaptionerConfig` of a few thousand weights, with maps of 7 x 7."""
    return config


@pytest.fixture(scope="session")
def eight(drawn_products):
    """Photos (8, 3, 56, 56) and texts of eight drawn products."""
    rows = drawn_products(40, 0)[::5]
    photos = [Image.open(io.BytesIO(row["images"][0])).resize((56, 56)) for row in rows]
    pixels = torch.from_numpy(np.stack([np.asarray(photo) for photo in photos])).permute(0, 3, 1, 2) / 255
    return pixels, [row["title"] for row in rows]


@pytest.fixture(scope="session")
def tokenizer(eight):
    return train_tokenizer(eight[1] * 2, vocabulary=120, max_length=16)


@pytest.fixture(scope="session")
def captioner(eight, tokenizer):
    """Overfitted to the eight."""
    pixels, texts = eight
    torch.manual_seed(0)
    settings = {"start_token_id": tokenizer.cls_token_id, "end_token_id": tokenizer.sep_token_id}
    model = Captioner(config(vocab_size=len(tokenizer), longest_caption=16, **settings)).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    for _ in range(150):
        optimizer.zero_grad()
        model(pixels, encoded["input_ids"], encoded["attention_mask"]).loss.backward()
        optimizer.step()
    return model.eval()
