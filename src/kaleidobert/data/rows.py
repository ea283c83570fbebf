"""One row of any table -> one product, or the reason why not."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from PIL import Image

from kaleidobert.data.columns import attributes_of, text_of
from kaleidobert.data.images import ImageSource, check_header
from kaleidobert.data.problems import BadRow
from kaleidobert.data.product import Product, Region

Row = Mapping[str, Any]


def id_of(row: Row, fields: Mapping[str, str], otherwise: str) -> str:
    """The product's id; ``otherwise`` where the table has no id column."""
    if "id" not in fields:
        return otherwise
    product_id = text_of(row.get(fields["id"]), fields["id"])
    if not product_id:
        raise BadRow(f"no product id (column {fields['id']})")
    return product_id


def product_of(row: Row, fields: Mapping[str, str], product_id: str, folder: Path) -> tuple[Product, str]:
    """A row as a product, and what is wrong with those of its views that had to be left out ("" if none).

    Raises ``BadRow`` where no view can be read, the text is empty, or a cell has the wrong type.
    """
    texts = {
        name: text_of(row.get(fields[name]), fields[name]) if name in fields else ""
        for name in ("title", "description", "category", "subcategory")
    }
    if not texts["title"] and not texts["description"]:
        named = " and ".join(fields[name] for name in ("title", "description") if name in fields)
        raise BadRow(f"no text (column {named})")
    views = _views(row.get(fields["images"]), folder)
    kept = [i for i, view in enumerate(views) if not isinstance(view, str)]
    wrong = "; ".join(view for view in views if isinstance(view, str))
    if not kept:
        raise BadRow(wrong or f"no image (column {fields['images']})")
    masks, regions = _ground_truth(row, len(views))
    product = Product(
        id=product_id,
        **texts,
        attributes=attributes_of(row, fields),
        images=tuple(view for view in views if not isinstance(view, str)),
        masks=tuple(masks[i] for i in kept) if masks else (),
        regions=tuple(regions[i] for i in kept) if regions else (),
    )
    return product, f"{wrong} (kept with {len(kept)} of {len(views)} views)" if wrong else ""


def _views(cell: Any, folder: Path) -> list[ImageSource | str]:
    """Every view of an image cell: its image, or (a ``str``) why it cannot be used."""
    if isinstance(cell, str):
        cell = _file_names(cell)
    cells = cell if isinstance(cell, list | tuple) else [cell]
    views: list[ImageSource | str] = []
    for one in cells:
        if one is None or (isinstance(one, str) and not one):
            continue
        try:
            views.append(_image(one, folder))
        except BadRow as error:
            views.append(str(error))
    return views


def _file_names(cell: str) -> list[Any]:
    """A cell of text: one file name, several separated by "|", or a JSON list of them."""
    if cell.lstrip().startswith("["):
        try:
            names = json.loads(cell)
        except ValueError:
            names = None
        if isinstance(names, list):
            return names
    return [name.strip() for name in cell.split("|")]


def _image(cell: Any, folder: Path) -> ImageSource:
    """One view in any of the forms a table has for it: file name, bytes, {bytes, path}, PIL image, pixels."""
    if callable(cell):  # pixels read only when wanted
        cell = cell()
    if isinstance(cell, np.ndarray):
        cell = Image.fromarray(cell)
    if isinstance(cell, Image.Image):
        encoded = io.BytesIO()
        cell.save(encoded, "PNG", compress_level=1)
        return encoded.getvalue()
    if isinstance(cell, dict):
        path, cell = cell.get("path"), cell.get("bytes")
        cell = path if cell is None else cell
    if isinstance(cell, bytes):
        _check(cell, "the image's bytes")
        return cell
    if not isinstance(cell, str) or not cell:
        raise BadRow(f"no file name or bytes in the image cell ({type(cell).__name__})")
    if cell.startswith(("http://", "https://")):
        raise BadRow(f"images are not fetched: download {cell} and put the file's path in its place")
    if "://" in cell:  # within an archive or on the Hub, as streamed datasets name their files
        return _image(_fetched(cell), folder)
    path = folder / cell
    if not path.is_file():
        raise BadRow(f"image file missing: {path}")
    _check(path, f"image file {path}")
    return path


def _fetched(url: str) -> bytes:
    try:
        with fsspec.open(url, "rb") as file:
            return file.read()
    except (OSError, ValueError, LookupError, ImportError) as error:
        raise BadRow(f"image {url} cannot be read ({error})") from None


def _check(source: ImageSource, name: str) -> None:
    """Read the header only: a full decode of every image would cost more than the whole reading."""
    try:
        check_header(source)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = "not an image PIL can read" if isinstance(error, Image.UnidentifiedImageError) else error
        raise BadRow(f"{name}: {reason}") from None


def _ground_truth(row: Row, views: int) -> tuple[list[bytes], list[tuple[Region, ...]]]:
    """Masks and regions, one a view, of the synthetic catalogue; a lone "regions" column may be anything."""
    if "masks" not in row or "regions" not in row:
        return [], []
    masks = row["masks"] or []
    try:
        regions = [
            tuple(Region(str(word), (float(x1), float(y1), float(x2), float(y2))) for word, x1, y1, x2, y2 in view)
            for view in json.loads(row["regions"] or "[]")
        ]
    except (ValueError, TypeError):
        raise BadRow("regions is not a JSON list, one a view, of [word, x1, y1, x2, y2]") from None
    for name, given in (("masks", masks), ("regions", regions)):
        if given and len(given) != views:
            raise BadRow(f"{views} images but {len(given)} {name}")
    return masks, regions
