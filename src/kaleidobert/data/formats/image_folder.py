"""A folder of photos, in one folder for each category, as ImageFolder of torchvision and of ``datasets`` has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kaleidobert.data.tables import NumberedRows, Table

SUFFIXES = {*".jpg .jpeg .png .webp .gif .bmp .tif .tiff .heic .heif .avif".split()}


def is_image_folder(folder: Path) -> bool:
    """Whether there are photos in folders of this one, and no table of them, which `datasets` reads."""
    return not any(folder.rglob("metadata.*")) and next(_photos(folder), None) is not None


def image_folder_table(folder: Path) -> Table:
    """One row per photo: the folder is the category, one within it the sub-category, and their name the title.

    Ids are paths without suffix; folders are written with blanks for "_" and "-" in titles.
    """
    columns = ["id", "title", "category", "subcategory", "image"]
    return Table(str(folder), folder, columns, lambda: _rows(folder), "photo", folder.name, format="ImageFolder")


def _rows(folder: Path) -> NumberedRows:
    for photo in sorted(each for each in folder.iterdir() if _is_photo(each)):
        yield 0, f"{photo.name} is in no folder of a category"
    for number, photo in enumerate(_photos(folder), start=1):
        path = photo.relative_to(folder)
        category, subcategory = path.parts[0], path.parts[1] if len(path.parts) > 2 else ""
        title = " ".join((subcategory or category).replace("_", " ").replace("-", " ").split())
        labels = {"category": category, "subcategory": subcategory}
        yield number, {"id": path.with_suffix("").as_posix(), "title": title, **labels, "image": path.as_posix()}


def _photos(folder: Path) -> Iterator[Path]:
    for inner in sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(".")):
        yield from sorted(each for each in inner.rglob("*") if _is_photo(each))


def _is_photo(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and file.is_file()
