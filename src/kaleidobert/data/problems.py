"""Counting the rows that a reader cannot use, so that nothing is dropped silently."""

from __future__ import annotations

from dataclasses import dataclass, field

from kaleidobert.errors import InputError

EXAMPLES_KEPT = 5
MAX_BAD = 0.05  # share of bad rows above which a catalogue is refused
ROWS_BEFORE_EARLY_CHECK = 1000  # a few bad rows at the start of a good file must not abort reading


class BadRow(ValueError):
    """Raised for a row that cannot become a product. The readers catch and count it."""


@dataclass
class Problems:
    """Bad rows, skipped or kept with fewer views: ``count`` among ``total`` rows read, with the first ``examples``.

    ``rows``: those of the whole source, of which a split may be a part. One instance may be passed to several reads and
    to later stages; ``share`` then refers to all their rows.
    """

    total: int = 0
    count: int = 0
    rows: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, source: object, row: int | str, reason: str) -> None:
        """Count a bad row; ``row`` is its number, or its place in words ("line 17")."""
        self.count += 1
        if len(self.examples) < EXAMPLES_KEPT:
            place = f"row {row}" if isinstance(row, int) else row
            self.examples.append(f"{source}, {place}: {reason}")

    @property
    def share(self) -> float:
        """Fraction of bad rows, from 0 to 1."""
        return self.count / max(self.total, self.count, 1)

    def summary(self) -> str:
        """One line, for a log or the terminal."""
        if not self.count:
            return f"all {self.total:,} rows could be used" if self.total else "it has no rows"
        more = "; ..." if self.count > len(self.examples) else ""
        return f"{self._counts()}: {'; '.join(self.examples)}{more}"

    def check(self, max_bad: float) -> None:
        """Raise ``InputError`` if the fraction of bad rows exceeds ``max_bad``."""
        if self.share > max_bad:
            raise InputError(
                f"{self._counts()}, more than the {max_bad:.1%} allowed; correct the rows or raise --max-bad: "
                + "; ".join(self.examples[:3])
            )

    def _counts(self) -> str:
        return f"{self.count:,} of {max(self.total, self.count):,} rows could not be used ({self.share:.1%})"
