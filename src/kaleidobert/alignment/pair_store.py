"""Aligned pairs in a parquet file, independent of the tokenizer that reads them (DESIGN: alignment).

A row is one word and one patch of one view. The word is a span of characters of `Product.text`, which begins with the
title, so a pair is valid for the title alone, for the whole text, and for the tokens of any fast tokenizer.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from transformers import BatchEncoding

from kaleidobert.alignment.generator import AlignedPair
from kaleidobert.alignment.masking import AlignmentPair
from kaleidobert.errors import InputError
from kaleidobert.levels import PUBLISHED, Level, level_slices

PAIRS_FILE = "pairs.parquet"
SUMMARY = b"kaleidobert"
SCHEMA = pa.schema(
    [
        ("product_id", pa.string()),
        ("view", pa.int16()),
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("word", pa.string()),
        ("tokens", pa.list_(pa.string())),
        ("level", pa.int8()),
        ("patch", pa.int16()),
        ("match", pa.float32()),
        ("score", pa.float32()),
        ("captioner", pa.dictionary(pa.int32(), pa.string())),
    ]
)


@dataclass
class AlignmentSummary:
    """Counts of an alignment. ``words``: content words, counted once for each view of their product."""

    source: str
    captioner: str
    levels: list[int]
    least_lift: float
    products: int = 0
    products_with_pairs: int = 0
    words: int = 0
    words_with_pairs: int = 0
    pairs: int = 0

    def figures(self) -> dict[str, Any]:
        """All counts, and the shares of products and words with pairs in percent."""
        return {
            **asdict(self),
            "products_without_pairs": self.products - self.products_with_pairs,
            "product_share": round(100 * self.products_with_pairs / max(1, self.products), 2),
            "word_share": round(100 * self.words_with_pairs / max(1, self.words), 2),
        }


class AlignmentWriter:
    """Writes pairs in batches; the file gets its name when it is complete.

    with AlignmentWriter(path, summary) as writer: writer.add(...)
    """

    def __init__(self, path: Path, summary: AlignmentSummary) -> None:
        self.path = path
        self.summary = summary
        self.scratch = path.with_suffix(".part")
        self.writer = pq.ParquetWriter(self.scratch, SCHEMA)

    def __enter__(self) -> AlignmentWriter:
        return self

    def add(self, products: Sequence[tuple[str, int, Sequence[AlignedPair]]]) -> None:
        """Write pairs of views, (product id, view, pairs), in the order of products and their views."""
        rows = [
            {
                "product_id": product_id,
                "view": view,
                "start": pair.word.start,
                "end": pair.word.end,
                "word": pair.word.text,
                "tokens": list(pair.tokens),
                "level": pair.level,
                "patch": pair.patch,
                "match": pair.match,
                "score": pair.score,
                "captioner": self.summary.captioner,
            }
            for product_id, view, pairs in products
            for pair in pairs
        ]
        self.summary.pairs += len(rows)
        self.writer.write_table(pa.Table.from_pylist(rows, SCHEMA))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.add_key_value_metadata({SUMMARY: json.dumps(asdict(self.summary)).encode()})
        self.writer.close()
        if kind is None:
            self.scratch.rename(self.path)
        else:
            self.scratch.unlink()


class StoredPair(NamedTuple):
    """One row of the store without product, view and provenance."""

    start: int
    end: int
    word: str
    level: int
    patch: int
    match: float
    score: float

    @classmethod
    def of(cls, pair: AlignedPair) -> StoredPair:
        word = pair.word
        return cls(word.start, word.end, word.text, pair.level, pair.patch, pair.match, pair.score)


class PairSource(ABC):
    """Pairs by product and view, wherever they come from."""

    @abstractmethod
    def stored(self, product_id: str, view: int = 0) -> list[StoredPair]:
        """A view's pairs, for any tokenizer."""

    def pairs(
        self,
        product_id: str,
        encoded: BatchEncoding,
        row: int = 0,
        levels: Sequence[Level] = PUBLISHED,
        view: int = 0,
        mirrored: bool = False,
    ) -> list[AlignmentPair]:
        """A view's pairs as indices of words and patches, for row ``row`` of a fast tokenizer's encoding.

        The encoded text may be the title alone, or truncated. Pairs of words beyond it, and of grids that ``levels``
        lacks, are left out. ``mirrored``: the photo was flipped left to right, so the patches are as well.
        """
        return to_word_pairs(self.stored(product_id, view), encoded, row, levels, mirrored)


class Alignment(PairSource):
    """A store of pairs in memory, by product and view; ``summary`` has its counts."""

    def __init__(self, table: pa.Table, summary: AlignmentSummary) -> None:
        self.summary = summary
        self.table = table.combine_chunks()
        ids, views = self.table["product_id"].to_pylist(), self.table["view"].to_pylist()
        self.rows: dict[tuple[str, int], range] = {}
        start = 0
        for end in range(1, len(ids) + 1):
            if end == len(ids) or (ids[end], views[end]) != (ids[start], views[start]):
                self.rows[ids[start], views[start]] = range(start, end)
                start = end
        self.columns = {
            name: self.table[name].to_numpy() for name in ("start", "end", "level", "patch", "match", "score")
        }
        self.words = self.table["word"]

    @classmethod
    def load(cls, path: str | Path) -> Alignment:
        """Read an alignment folder or its ``pairs.parquet``. Raises ``InputError`` for anything else."""
        path = Path(path)
        file = path / PAIRS_FILE if path.is_dir() else path
        if not file.is_file():
            raise InputError(f"{path}: no alignment there; write one with kaleidobert align DATA --out {path}")
        try:
            table = pq.read_table(file)
            summary = AlignmentSummary(**json.loads(pq.read_metadata(file).metadata[SUMMARY]))
            table.select(SCHEMA.names)
        except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{file}: not a file of aligned pairs; write it again with kaleidobert align") from error
        return cls(table, summary)

    def __len__(self) -> int:
        """Number of pairs."""
        return self.table.num_rows

    def find(self, views: Sequence[tuple[str, int]]) -> None:
        """All pairs are at hand; `RunAlignment` looks for them."""

    def stored(self, product_id: str, view: int = 0) -> list[StoredPair]:
        """A view's pairs as stored; empty for an unknown product."""
        columns = self.columns
        return [
            StoredPair(
                int(columns["start"][row]),
                int(columns["end"][row]),
                self.words[row].as_py(),
                int(columns["level"][row]),
                int(columns["patch"][row]),
                float(columns["match"][row]),
                float(columns["score"][row]),
            )
            for row in self.rows.get((product_id, view), ())
        ]


class RunAlignment(PairSource):
    """A run's own pairs, found by a captioner when masking first needs a view; in place of a stored `Alignment`."""

    def __init__(self, align: Callable[[Sequence[tuple[str, int]]], Sequence[Sequence[AlignedPair]]]) -> None:
        """``align``: (product id, view) of some views -> the pairs of each."""
        self.align = align
        self.found: dict[tuple[str, int], list[StoredPair]] = {}

    def find(self, views: Sequence[tuple[str, int]]) -> None:
        """Align these views, by product and number, in one batch, unless they are known."""
        missing = [each for each in dict.fromkeys(views) if each not in self.found]
        for view, pairs in zip(missing, self.align(missing), strict=True):
            self.found[view] = [StoredPair.of(pair) for pair in pairs]

    def stored(self, product_id: str, view: int = 0) -> list[StoredPair]:
        """A view's pairs."""
        self.find([(product_id, view)])
        return self.found[product_id, view]


def to_word_pairs(
    stored: Sequence[StoredPair],
    encoded: BatchEncoding,
    row: int,
    levels: Sequence[Level],
    mirrored: bool = False,
) -> list[AlignmentPair]:
    """Stored pairs as indices of the encoding's words and of all levels' patches, the form that masking uses."""
    places: dict[int, list[int]] = {}  # grid -> the first patch of each level that has it
    for level, where in zip(levels, level_slices(levels), strict=True):
        places.setdefault(level.grid, []).append(where.start)
    words: dict[tuple[int, int], list[int]] = {}
    found = []
    for pair in stored:
        if pair.level not in places:
            continue
        span = (pair.start, pair.end)
        if span not in words:
            words[span] = _words_in(pair, encoded, row)
        line, column = divmod(pair.patch, pair.level)
        column = pair.level - 1 - column if mirrored else column
        patches = [start + line * pair.level + column for start in places[pair.level]]
        found += [AlignmentPair(word, patch) for word in words[span] for patch in patches]
    return found


def _words_in(pair: StoredPair, encoded: BatchEncoding, row: int) -> list[int]:
    """The tokenizer's words inside a span, without punctuation: "v" and "neck" of "v-neck"."""
    letters = (pair.start + offset for offset, letter in enumerate(pair.word) if letter.isalnum())
    words = {encoded.char_to_word(row, position) for position in letters}
    return sorted(word for word in words if word is not None)
