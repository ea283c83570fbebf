"""Records of CSV files, of which a stray quote spoils no more than its own line."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from typing import IO

from kaleidobert.data.downloads import MAX_BYTES

LONGEST_CELL = MAX_BYTES * 4 // 3 + 1000  # characters: the largest photo as a data URI
LONGEST_TEXT = 2**18  # characters of a record of several lines, without lines that are longer: those of photos
csv.field_size_limit(LONGEST_CELL)


class _Lines:
    """The lines of a file, which can be taken back."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._waiting: deque[str] = deque()
        self.taken: list[str] = []  # of one record
        self._text = 0  # characters of these

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else next(self._file)
        self.taken.append(line)
        self._text += len(line) if len(line) <= LONGEST_TEXT else 0
        if self._text > LONGEST_TEXT and len(self.taken) > 1:
            raise csv.Error("a quote left open")  # which would take in as much as a photo may have
        return line

    def begin_record(self) -> None:
        self.taken.clear()
        self._text = 0

    def take_back(self) -> None:
        """All taken lines but the first."""
        self._waiting.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]


def csv_records(file: IO[str], delimiter: str) -> Iterator[tuple[int, list[str] | str, str]]:
    """Each record: its first line from 1, its cells or why it cannot be read, and a remark on its quotes or "".

    A quote left open would take in the following lines; what it breaks is its own line alone.
    """
    lines, line = _Lines(file), 1
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin_record()
        try:
            cells = next(reader)
            stray = _each_a_record(lines.taken, delimiter)
        except StopIteration:
            return
        except csv.Error:
            stray = True
        if stray:
            lines.take_back()
            yield line, _lenient(lines.taken[0], delimiter), ": a quote left open?"
        else:
            last = line + len(lines.taken) - 1
            yield line, cells, f" up to line {last}: a quote left open?" if last > line else ""
        line += len(lines.taken)


def _each_a_record(lines: list[str], delimiter: str) -> bool:
    """Whether a quote took in the following records, up to the next one: a text with line breaks holds no tabs."""
    tabs = {line.count(delimiter) for line in lines}
    return delimiter == "\t" and len(lines) > 1 and len(tabs) == 1 and tabs != {0}


def _lenient(line: str, delimiter: str) -> list[str] | str:
    """The cells of a line with stray quotes."""
    try:
        return [cell.rstrip("\r\n") for cell in next(csv.reader([line], delimiter=delimiter))]
    except csv.Error as error:
        if len(line) > LONGEST_CELL:
            return f"a cell of more than {LONGEST_CELL:,} characters: keep its photos in files, and name these in it"
        return f"broken CSV ({error})"
