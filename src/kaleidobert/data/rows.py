"""Converting a row of any table to a product."""

from __future__ import annotations

import ast
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kaleidobert.data.addresses import read_address
from kaleidobert.data.columns import cell_text, row_attributes
from kaleidobert.data.images import ImageSource, UnreadableImage, check_header
from kaleidobert.data.photo_names import listed_photos, template_names
from kaleidobert.data.plain_text import plain_text
from kaleidobert.data.problems import BadRow
from kaleidobert.data.product import Product, Region, fault_of_id

Row = Mapping[str, Any]
ADDRESSES = ("src", "url")  # as shops' own JSON has them


@dataclass(frozen=True)
class Columns:
    """Where a table's products are: the columns of ``fields``, and a template of their photos' names, or ""."""

    fields: Mapping[str, str]
    image_template: str = ""


def read_id(row: Row, columns: Columns, default: str) -> str:
    """The product's id, or ``default`` if the table has no id column. Raises ``BadRow`` if it cannot be one."""
    if "id" not in columns.fields:
        return default
    column = columns.fields["id"]
    product_id = cell_text(row.get(column), column)
    if not product_id:
        raise BadRow(f"no product id (column {column})")
    if fault := fault_of_id(product_id):
        raise BadRow(f"the product id {product_id!r} cannot be used: {fault}")
    return product_id


def read_product(row: Row, columns: Columns, product_id: str, folder: Path) -> tuple[Product, str]:
    """A row as a product, and why some of its views were dropped ("" if none was).

    Raises ``BadRow`` if no view can be read, the text is empty, or a cell has the wrong type.
    """
    fields = columns.fields
    texts = {
        name: plain_text(cell_text(row.get(fields[name]), fields[name])) if name in fields else ""
        for name in ("title", "description", "category", "subcategory")
    }
    if not texts["title"] and not texts["description"]:
        named = " and ".join(fields[name] for name in ("title", "description") if name in fields)
        raise BadRow(f"no text (column {named})")
    attributes = row_attributes(row, fields)
    listed = row.get(fields["images"]) if "images" in fields else None
    if columns.image_template:
        cells = {**attributes, **{column: texts.get(name, "") for name, column in fields.items()}}
        listed = template_names(columns.image_template, product_id, cells, _listed(listed))
    views = _views(listed, folder)
    kept = [i for i, view in enumerate(views) if not isinstance(view, str)]
    wrong = "; ".join(view for view in views if isinstance(view, str))
    if not kept:
        raise BadRow(wrong or f"no image (column {fields.get('images', 'images')})")
    masks, regions = _ground_truth(row, len(views))
    product = Product(
        id=product_id,
        **texts,
        attributes=attributes,
        images=tuple(view for view in views if not isinstance(view, str)),
        masks=tuple(masks[i] for i in kept) if masks else (),
        regions=tuple(regions[i] for i in kept) if regions else (),
    )
    return product, f"{wrong} (kept with {len(kept)} of {len(views)} views)" if wrong else ""


def _views(cell: Any, folder: Path) -> list[ImageSource | str]:
    """The views of an image cell; a ``str`` in the place of a view is the reason why it cannot be used."""
    views: list[ImageSource | str] = []
    for one in _listed(cell):
        try:
            views.append(_image(one, folder))
        except BadRow as error:
            views.append(str(error))
    return views


def _listed(cell: Any) -> list[Any]:
    """The images that a cell holds, without empty ones."""
    if isinstance(cell, str):
        cell = _file_names(cell)
    cells = cell if isinstance(cell, list | tuple) else [cell]
    return [one for one in cells if one is not None and one != ""]


def _file_names(cell: str) -> list[Any]:
    """File names in a text cell: one, several between "|", a JSON or Python list, or several photos between commas."""
    if cell.lstrip().startswith("["):
        for read in (json.loads, ast.literal_eval):
            try:
                names = read(cell.strip())
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
            if isinstance(names, list):
                return names
    return [name.strip() for name in cell.split("|")] if "|" in cell else listed_photos(cell)


def _image(cell: Any, folder: Path) -> ImageSource:
    """A view from a table's cell: file name, bytes, {bytes, path}, PIL image, pixels, or a function that reads them."""
    if callable(cell):
        try:
            cell = cell()
        except OSError as error:
            raise BadRow(f"the image's pixels cannot be read ({error})") from None
    if isinstance(cell, np.ndarray):
        cell = Image.fromarray(cell)
    if isinstance(cell, Image.Image):
        encoded = io.BytesIO()
        cell.save(encoded, "PNG", compress_level=1)
        return encoded.getvalue()
    if isinstance(cell, dict):
        keys = ("bytes", "path", *ADDRESSES)
        cell = next((cell[key] for key in keys if cell.get(key) is not None), None)
        if cell is None:
            raise BadRow(f"the image has none of {', '.join(keys)}")
    if isinstance(cell, bytes):
        _check(cell, "the image's bytes")
        return cell
    if not isinstance(cell, str) or not cell:
        raise BadRow(f"the image cell is neither a file name nor bytes ({type(cell).__name__})")
    photo = read_address(cell, folder)
    _check(photo, f"image file {photo}" if isinstance(photo, Path) else f"image {cell[:200]}")
    return photo


def _check(source: ImageSource, name: str) -> None:
    """Check the header only: decoding every image would take longer than all the rest."""
    try:
        check_header(source)
    except UnreadableImage as error:
        raise BadRow(f"{name}: {error}") from None


def _ground_truth(row: Row, views: int) -> tuple[list[bytes], list[tuple[Region, ...]]]:
    """Masks and regions of each view, in synthetic catalogues only; "regions" alone may be any column."""
    if "masks" not in row or "regions" not in row:
        return [], []
    masks = row["masks"] or []
    try:
        regions = [
            tuple(Region(str(word), (float(x1), float(y1), float(x2), float(y2))) for word, x1, y1, x2, y2 in view)
            for view in json.loads(row["regions"] or "[]")
        ]
    except (ValueError, TypeError):
        raise BadRow("regions must be a JSON list with a list of [word, x1, y1, x2, y2] per view") from None
    for name, given in (("masks", masks), ("regions", regions)):
        if given and len(given) != views:
            raise BadRow(f"{views} images but {len(given)} {name}")
    return masks, regions
