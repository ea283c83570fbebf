"""What a reader could not use: counted, with the first examples kept; nothing is dropped in silence."""

from __future__ import annotations

from dataclasses import dataclass, field

from kaleidobert.errors import InputError

EXAMPLES_KEPT = 5
ROWS_BEFORE_EARLY_CHECK = 1000  # a few bad rows at the start of a good file must not stop the reading


class BadRow(ValueError):
    """Why one row cannot become a product. It never leaves the readers."""


@dataclass
class Problems:
    """Rows skipped, or kept without a view: ``count`` of the ``total`` rows seen, and the first ``examples``.

    One instance may follow several reads and the stages after them; the share is then over all their rows.
    """

    total: int = 0
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, source: object, row: int | str, reason: str) -> None:
        """Count one bad row; ``row`` is its number, or its place in words ("line 17")."""
        self.count += 1
        if len(self.examples) < EXAMPLES_KEPT:
            place = f"row {row}" if isinstance(row, int) else row
            self.examples.append(f"{source}, {place}: {reason}")

    @property
    def share(self) -> float:
        """Bad rows among those seen, from 0 to 1."""
        return self.count / max(self.total, self.count, 1)

    def summary(self) -> str:
        """One line for a log or a terminal."""
        if not self.count:
            return f"all {self.total:,} rows could be used"
        more = "; ..." if self.count > len(self.examples) else ""
        return f"{self._figures()}: {'; '.join(self.examples)}{more}"

    def check(self, max_bad: float) -> None:
        """Raise ``InputError`` where more than the share ``max_bad`` of the rows seen is bad."""
        if self.share > max_bad:
            raise InputError(
                f"{self._figures()}, more than the {max_bad:.1%} allowed; correct the rows or raise max_bad: "
                + "; ".join(self.examples[:3])
            )

    def _figures(self) -> str:
        return f"{self.count:,} of {max(self.total, self.count):,} rows could not be used ({self.share:.1%})"
