"""Empty product indexes with embeddings of eight dimensions and patch states (3, 4)."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.memory_index import MemoryIndex
from kaleidobert.index.lancedb_store import LanceDBIndex
from kaleidobert.index.protocol import ProductIndex
from kaleidobert.index.records import StoreInfo

INFO = StoreInfo("f" * 16, "/model", 8, 3, 4, "0")


@pytest.fixture
def store(tmp_path: Path) -> LanceDBIndex:
    return LanceDBIndex.create(str(tmp_path / "store"), INFO)


@pytest.fixture(params=["lancedb", "memory"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> ProductIndex:
    """Each implementation of `ProductIndex`."""
    return LanceDBIndex.create(str(tmp_path / "store"), INFO) if request.param == "lancedb" else MemoryIndex(INFO)
