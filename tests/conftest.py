"""Shared fixtures: a cache of each test's own, a model of a few thousand weights, a catalogue of drawn shapes."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

pytest_plugins = (
    "fixtures.shop_fixtures",
    "fixtures.run_fixtures",
    "fixtures.batch_fixtures",
    "fixtures.tokenizer_fixtures",
)

COLOURS = ("red", "green", "blue", "orange", "black")
SHAPES = ("circle", "square", "triangle", "bar")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or fills the user's cache of prepared catalogues."""
    monkeypatch.setenv("KALEIDOBERT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def tiny_settings() -> Callable[..., dict[str, Any]]:
    """Arguments of `KaleidoBertConfig` for a model of a few thousand weights; any can be given."""

    def build(vocab_size: int = 60, **settings: Any) -> dict[str, Any]:
        encoder: dict[str, Any] = {
            "vocab_size": vocab_size,
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
        }
        encoder |= {"intermediate_size": 64, "max_position_embeddings": 24}
        encoder |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        backbone: dict[str, Any] = {
            "layer_type": "basic",
            "embedding_size": 8,
            "hidden_sizes": [8, 16],
            "depths": [1, 1],
        }
        backbone |= {"out_features": ["stage2"]}
        sizes = {"image_size": 40, "crop_size": 16, "projection_size": 24}
        return {"encoder_config": encoder, "backbone_config": backbone, **sizes, **settings}

    return build


@pytest.fixture(scope="session")
def tiny_config(tiny_settings: Callable[..., dict[str, Any]]) -> Callable:
    """A `KaleidoBertConfig` of these."""
    from kaleidobert.model import KaleidoBertConfig

    return lambda **settings: KaleidoBertConfig(**tiny_settings(**settings))


def drawn(colour: str, shape: str, kind: str, rng: np.random.Generator) -> bytes:
    """A PNG photo (48, 56): the shape in its colour, a bag's with a line above, somewhere on white."""
    image = Image.new("RGB", (48, 56), "white")
    x, y, side = (int(value) for value in rng.integers((6, 8, 22), (14, 20, 28)))
    corners = (x, y, x + side, y + side)
    draw = ImageDraw.Draw(image)
    if shape == "circle":
        draw.ellipse(corners, fill=colour)
    elif shape == "square":
        draw.rectangle(corners, fill=colour)
    elif shape == "triangle":
        draw.polygon([(x, y + side), (x + side, y + side), (x + side // 2, y)], fill=colour)
    else:
        draw.rectangle((x + side // 3, y, x + side // 2, y + side), fill=colour)
    if kind == "bag":  # its handle
        draw.line((x, y - 4, x + side, y - 4), fill="gray", width=3)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def products(count: int, seed: int) -> list[dict[str, Any]]:
    """Rows of a catalogue: 40 texts, so from the 41st product on texts come back; every eighth has two views."""
    rng = np.random.default_rng(seed)
    kinds = [(colour, shape, kind) for colour in COLOURS for kind in ("shirt", "bag") for shape in SHAPES]
    rows = []
    for number in range(count):
        colour, shape, kind = kinds[number % len(kinds)]
        views = [drawn(colour, shape, kind, rng) for _ in range(1 + (number % 8 == 7))]
        labels = {"category": kind, "subcategory": f"{shape} {kind}"}
        rows.append({"id": f"{seed}-{number}", "title": f"{colour} {shape} {kind}", **labels, "images": views})
    return rows


@pytest.fixture(scope="session")
def drawn_products() -> Callable[[int, int], list[dict[str, Any]]]:
    """``drawn_products(count, seed)``: rows with id, title, category, subcategory and images (PNG bytes)."""
    return products


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue as a folder of parquet files: 64 products to train on, 32 to validate, 44 to test."""
    folder = tmp_path_factory.mktemp("shapes")
    for seed, (split, count) in enumerate({"train": 64, "validation": 32, "test": 44}.items()):
        pq.write_table(pa.Table.from_pylist(products(count, seed)), folder / f"{split}.parquet")
    return folder
