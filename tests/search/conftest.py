"""A tiny shop for every test of the search."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from shop import Shop, catalogue, save_model


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """A model this small loses time to more threads, most of all on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"), seed=1)


@pytest.fixture(scope="session")
def other_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("other"), seed=2)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Shop:
    """Shared between tests: read only."""
    shop = Shop(str(tmp_path_factory.mktemp("shop") / "store"), model_folder)
    shop.indexer().index(shop.products, batch_size=5)
    return shop


@pytest.fixture
def new_shop(tmp_path: Path, model_folder: Path) -> Shop:
    """A shop of the test's own, not indexed yet."""
    return Shop(str(tmp_path / "store"), model_folder)


@pytest.fixture
def catalogue_file(tmp_path: Path) -> Path:
    """The catalogue as JSONL beside its photos."""
    with (tmp_path / "catalogue.jsonl").open("w") as lines:
        for product in catalogue():
            (tmp_path / f"{product.id}.png").write_bytes(product.images[0])
            row = {"id": product.id, "title": product.title, "image": f"{product.id}.png"}
            lines.write(json.dumps({**row, "category": product.category, **product.attributes}) + "\n")
    return tmp_path / "catalogue.jsonl"
