"""CSV and TSV files, in the encodings that shops and spreadsheets write."""

from __future__ import annotations

import codecs
import csv
import logging
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from kaleidobert.data.code_pages import code_page
from kaleidobert.data.csv_records import csv_records
from kaleidobert.data.tables import NumberedRows, Table, row_of
from kaleidobert.errors import InputError

_LOGGER = logging.getLogger(__name__)
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
LONGEST_NAME = 2**17  # characters of a column's
LINES_TO_GUESS = 2000
DELIMITERS = ",;\t|"
SEPARATOR_LINE = re.compile(r"\ufeff?\"?sep=(.)\"?\s*")  # before the header, for Excel


@dataclass(frozen=True)
class _Sheet:
    """How a file is written, and its header."""

    path: Path
    encoding: str
    delimiter: str
    header: list[str]
    header_line: int

    def open(self) -> Any:
        return _open(self.path, self.encoding)


def csv_table(path: Path) -> Table:
    """A file with a header, delimited by commas, semicolons, tabs, bars, or what its first line ``sep=;`` says.

    In UTF-8 or UTF-16, or, where its letters are no UTF-8, in the encoding that they look like.
    """
    sheet = _sheet(path)
    columns = list(dict.fromkeys(sheet.header))
    return Table(str(path), path.parent, columns, lambda: _rows(sheet), "line", path.stem)


def kaggle_table(path: Path) -> Table:
    """The ``styles.csv`` of Kaggle's Fashion Product Images; a product's photo is ``images/<id>.jpg``.

    About twenty of its titles contain unquoted commas. Since the title is the last column, surplus cells are
    appended to it.
    """
    sheet = _sheet(path)

    def rows() -> NumberedRows:
        for line, row in _rows(sheet, surplus_to_last=True):
            if isinstance(row, dict):
                row["image"] = f"images/{row.get('id', '').strip()}.jpg"
            yield line, row

    return Table(str(path), path.parent, list(dict.fromkeys([*sheet.header, "image"])), rows, "line", path.stem)


def _sheet(path: Path) -> _Sheet:
    state = path.stat()
    encoding = _encoding(path, state.st_size, state.st_mtime_ns)
    with _open(path, encoding) as file:
        first = file.readline(LONGEST_NAME)
    if "\0" in first:
        raise InputError(f"{path}: not a text file, or in an encoding without a mark; save it as CSV in UTF-8")
    stated = SEPARATOR_LINE.fullmatch(first)
    delimiter = stated[1] if stated else max(DELIMITERS, key=first.count)
    with _open(path, encoding) as file:
        if stated:
            next(file)
        try:
            header = next(csv.reader(file, delimiter=delimiter), [])
            if any(len(name) > LONGEST_NAME for name in header):
                raise csv.Error(f"a name of more than {LONGEST_NAME:,} characters")
        except csv.Error as error:
            raise InputError(f"{path}: its first line is no header with column names ({error})") from error
    if not any(name.strip() for name in header):
        raise InputError(f"{path}: no header with column names in its first line")
    names = [_readable(name.strip()) or f"column {number}" for number, name in enumerate(header, start=1)]
    return _Sheet(path, encoding, delimiter, names, header_line=2 if stated else 1)


def _readable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _rows(sheet: _Sheet, surplus_to_last: bool = False) -> NumberedRows:
    header = sheet.header
    if damaged := [name for name in header if "\ufffd" in name]:
        yield 1, f"the column name {damaged[0]!r} is not valid UTF-8 text; its cells are kept under that name"
    with sheet.open() as file:
        for line, cells, hint in csv_records(file, sheet.delimiter):
            if line <= sheet.header_line:
                continue
            if isinstance(cells, str):
                yield line, cells
                continue
            while len(cells) > len(header) and not cells[-1]:
                cells.pop()  # a delimiter too many at the line's end
            if surplus_to_last and len(cells) > len(header):
                cells[len(header) - 1 :] = [sheet.delimiter.join(cells[len(header) - 1 :])]
            if len(cells) == len(header):
                if any(cells):
                    yield line, row_of(zip(header, map(_plain, cells), strict=True))
            elif any(cells):  # blank lines have none
                yield line, f"{len(cells)} cells where the header has {len(header)}{hint}"


def _plain(cell: str) -> str:
    """A cell without the formula that keeps spreadsheets from taking it for a number: ="007" -> 007."""
    return cell[2:-1] if cell.startswith('="') and cell.endswith('"') and len(cell) > 2 else cell


def _open(path: Path, encoding: str) -> Any:
    # Bytes that are no letters become lone surrogates; `cell_text` reports the rows with them.
    errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
    return path.open(encoding=encoding, errors=errors, newline="")


@lru_cache(256)
def _encoding(path: Path, size: int, modified: int) -> str:  # noqa: ARG001  the state of the file that was looked at
    """The encoding of a text file. One with damaged lines among others in UTF-8 is in UTF-8."""
    with path.open("rb") as file:
        start = file.read(3)
        if bom := next((bom for bom in BOMS if start.startswith(bom)), None):
            return BOMS[bom]
        file.seek(0)
        others, utf8 = [], 0
        for line in file:
            if line.isascii():
                continue
            try:
                line.decode()
                utf8 += 1
            except UnicodeDecodeError:
                others.append(line)
            if utf8 + len(others) == LINES_TO_GUESS:
                break
    if utf8 >= len(others):
        return "utf-8"
    encoding = code_page(b"".join(others))
    _LOGGER.warning("%s is not in UTF-8; it was read as %s. Save it as UTF-8 if letters are wrong", path, encoding)
    return encoding
