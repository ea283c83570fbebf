"""A tiny real model with random weights and a small catalogue of drawn photos."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from transformers import BertConfig, ResNetConfig

from kaleidobert.data.product import Product
from kaleidobert.model import (
    KaleidoBertConfig,
    KaleidoBertForRetrieval,
    KaleidoBertImageProcessor,
    KaleidoBertProcessor,
    load_run,
)
from kaleidobert.model.processing import train_tokenizer
from kaleidobert.search.indexing import Indexer
from kaleidobert.search.ranking import Ranker
from kaleidobert.search.store import Store

COLOURS = ("red", "green", "blue", "orange", "purple", "black")
SHAPES = ("ellipse", "rectangle")
CALIBRATION = {"vectors": [0.02, 0.5, -0.5, 0.0], "combined": [0.02, 0.5, -0.5, 0.0], "photo": [0.4, -3.0], "weak": 0.1}
CALIBRATION |= {"words": {"red": 0.8, "bag": 0.9}, "unknown": 0.2}


def drawn(colour: str, shape: str, size: tuple[int, int] = (60, 80)) -> bytes:
    image = Image.new("RGB", size, "white")
    box = (size[0] // 5, size[1] // 5, size[0] * 4 // 5, size[1] * 4 // 5)
    getattr(ImageDraw.Draw(image), shape)(box, fill=colour)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def catalogue() -> list[Product]:
    """Twelve products of two sub-categories; the first has three views."""
    products = []
    for number, (colour, shape) in enumerate((c, s) for s in SHAPES for c in COLOURS):
        views = (drawn(colour, shape),) if number else tuple(drawn(c, shape) for c in COLOURS[:3])
        products.append(
            Product(
                id=f"p{number:02d}",
                title=f"{colour} {shape} bag",
                category='Men\'s "best"' if number % 2 else "Women",
                subcategory=shape,
                attributes={"colour": colour, "fabric": "it's 100% 'wool'" if number < 4 else "silk=cotton"},
                images=views,
            )
        )
    return products


def save_model(folder: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    tokenizer = train_tokenizer([product.title for product in catalogue()] * 3, vocabulary=200, max_length=16)
    bert = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
    )
    resnet = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", out_features=["stage2"]
    )
    config = KaleidoBertConfig(bert, resnet, image_size=64, projection_size=16, hubness_weight=0.5, memory_weight=0.3)
    config.calibration = CALIBRATION
    model = KaleidoBertForRetrieval(config)
    model.remember(*torch.nn.functional.normalize(torch.randn(2, 8, 16), dim=-1))
    model.save_pretrained(folder)
    KaleidoBertProcessor(KaleidoBertImageProcessor(image_size=64), tokenizer).save_pretrained(folder)
    return folder


@lru_cache
def loaded(folder: Path) -> tuple[KaleidoBertForRetrieval, KaleidoBertProcessor]:
    return load_run(folder)


@dataclass
class Shop:
    """A store and the model folder it was made with."""

    uri: str
    model_folder: Path
    products: list[Product] = field(default_factory=catalogue)

    def ranker(self) -> Ranker:
        return Ranker(*loaded(self.model_folder), Store.open(self.uri, refresh_seconds=0), str(self.model_folder))

    def indexer(self) -> Indexer:
        return Indexer(*loaded(self.model_folder), self.uri, self.model_folder)
