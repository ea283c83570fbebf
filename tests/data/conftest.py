from pathlib import Path

import pytest

from fixtures.source_files import JPEG


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder whose ``photos/`` holds three images."""
    (tmp_path / "photos").mkdir()
    for name in ("a", "b", "çanta"):
        (tmp_path / "photos" / f"{name}.jpg").write_bytes(JPEG)
    return tmp_path
