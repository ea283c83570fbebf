"""Photos that a catalogue names: only files in its folder."""

import zipfile
from pathlib import Path

import pytest

from kaleidobert.data import addresses
from kaleidobert.data.addresses import read_address
from kaleidobert.data.problems import BadRow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "outside.jpg").write_bytes(b"secret")
    (tmp_path / "shop" / "images").mkdir(parents=True)
    (tmp_path / "shop" / "images" / "a.jpg").write_bytes(b"photo")
    with zipfile.ZipFile(tmp_path / "shop" / "photos.zip", "w") as archive:
        archive.writestr("a.jpg", b"packed")
    return tmp_path / "shop"


def test_files_in_the_folder_are_read(folder: Path) -> None:
    photo = folder / "images" / "a.jpg"
    for address in ("images/a.jpg", "images/../images/a.jpg", str(photo), f"file://{photo}"):
        found = read_address(address, folder)
        assert isinstance(found, Path) and found.read_bytes() == b"photo"
    assert read_address("zip://a.jpg::photos.zip", folder) == b"packed"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("../outside.jpg", "outside the catalogue's folder"),
        ("images/../../outside.jpg", "outside the catalogue's folder"),
        ("/etc/passwd", "outside the catalogue's folder"),
        ("file:///etc/passwd", "outside the catalogue's folder"),
        ("zip://passwd::/etc/archive.zip", "outside the catalogue's folder"),
        ("https://169.254.169.254/latest", "images are not downloaded"),
        ("ftp://host/a.jpg", "images at ftp:// are not read"),
        ("hf://datasets/owner/name/a.jpg", "images at hf:// are not read"),
        ("simplecache::https://host/a.jpg", "images at simplecache:: are not read"),
        ("zip://a.jpg::http://host/a.zip", "images at http:// are not read"),
        ("zip://a.jpg::simplecache::http://host/a.zip", "images at zip:// are not read"),
        ("zip://b.jpg::photos.zip", "cannot be read"),
        ("x" * 5000, "no name of a file"),
        ("a\0b", "no name of a file"),
    ],
)
def test_anything_else_is_refused_by_name(folder: Path, address: str, message: str) -> None:
    with pytest.raises(BadRow, match=message) as raised:
        read_address(address, folder)
    assert len(str(raised.value)) < 700


def test_a_packed_photo_has_a_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "MAX_MEMBER", 5)
    with pytest.raises(BadRow, match="is larger than"):
        read_address("zip://a.jpg::photos.zip", folder)
