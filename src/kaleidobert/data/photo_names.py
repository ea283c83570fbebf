"""Where a product's photos are, by a template such as ``images/{id:.3}/{id}.jpg``, and files under another spelling."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Any
from urllib.parse import unquote, urlsplit

from kaleidobert.data.problems import BadRow
from kaleidobert.errors import InputError

ID, FILE = "id", "file"
EXAMPLE = "images/{id:.3}/{id}.jpg"
SEPARATOR = re.compile("[,;]")
ADDRESS = re.compile(r"https?://.*", re.DOTALL)
PHOTO = re.compile(r"\A(?!https?://).*\.(jpe?g|png|webp|gif|bmp|tiff?|heic|heif|avif)", re.IGNORECASE | re.DOTALL)
LONGEST_NAME = 4096  # characters of a path
SHOWN = 80  # of a name in a report


def listed_photos(cell: str) -> list[str]:
    """Several photos between commas or semicolons, which a name or address may hold as well: the parts tell by their
    starts or ends."""
    names = [name.strip() for name in SEPARATOR.split(cell) if name.strip()]
    several = any(all(map(form.fullmatch, names)) for form in (ADDRESS, PHOTO))
    return names if several else [cell.strip()]


def check_template(template: str, columns: Sequence[str]) -> None:
    """Raise ``InputError`` unless a template's places are {id}, {file} or columns, and each can be formatted."""
    try:
        names = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
        specs = [spec or "" for _, _, spec, _ in Formatter().parse(template)]
        if long := [width for spec in specs for width in re.findall(r"\d{4,20}", spec) if int(width) > LONGEST_NAME]:
            raise ValueError(f"a name of {long[0]} letters")  # it would be filled up to that, in memory
        "".join(format("", spec) for spec in specs)
    except ValueError as error:
        raise InputError(f"image template {template!r}: {error}; write for example {EXAMPLE}") from None
    if not names:
        raise InputError(f"image template {template!r} names no column; write for example {EXAMPLE}")
    if unknown := [name for name in names if name not in (ID, FILE, *columns)]:
        raise InputError(
            f"image template {template!r}: no column {unknown[0]!r}; use {{id}}, {{file}} (the last part of an image's "
            f"address) or one of {', '.join(columns)}"
        )


def template_names(template: str, product_id: str, cells: Mapping[str, str], images: Iterable[Any]) -> list[str]:
    """The file names of a product's photos: one, or with {file} one for each of ``images``, addresses or paths."""
    if not any(name == FILE for _, name, _, _ in Formatter().parse(template)):
        return [_filled(template, {**cells, ID: product_id})]
    return [_filled(template, {**cells, ID: product_id, FILE: _last_part(each)}) for each in images if each]


def find_file(folder: Path, name: str) -> Path:
    """The file of a name relative to ``folder``, also where the name has backslashes or its letters' other form.

    Raises ``BadRow`` if there is none.
    """
    shown = name if len(name) <= SHOWN else f"{name[:SHOWN]}... ({len(name):,} characters)"
    if len(name) > LONGEST_NAME or "\0" in name:
        raise BadRow(f"no name of a file: {shown!r}")
    slashed = name.replace("\\", "/")
    spellings = [name, slashed, *(unicodedata.normalize(form, slashed) for form in ("NFC", "NFD"))]
    try:
        for spelling in dict.fromkeys(spellings):
            if (folder / spelling).is_file():
                return folder / spelling
    except (OSError, ValueError) as error:  # a part of the name is longer than the file system allows
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadRow(f"image file {shown!r} cannot be opened ({reason})") from None
    raise BadRow(f"image file missing: {folder / shown}")


def _filled(template: str, cells: Mapping[str, str]) -> str:
    parts = []
    for literal, name, spec, _ in Formatter().parse(template):
        parts += [literal, "" if name is None else format(cells.get(name, ""), spec or "")]
    return "".join(parts)


def _last_part(image: Any) -> str:
    name = str(image)
    path = unquote(urlsplit(name).path) if "://" in name else name.replace("\\", "/")
    return path.rpartition("/")[2]
