"""Counts of kept and quarantined rows -> whether a source can be used at all."""

from collections import Counter
from typing import NamedTuple

import pyarrow as pa

from tasks.core.contracts import UserError

#: Reasons that a catalogue is expected to give: they do not speak of damage.
HARMLESS = ("missing_overview", "placeholder_overview")
ROWS_FOR_SHARES = 50  # rows from which a share of damaged ones says something


class ChunkResult(NamedTuple):
    """A chunk of source rows, each in exactly one of two places."""

    movies: pa.Table
    quarantine: pa.Table
    rows: int


class RowCounts:
    """Counts of one pass, and an example of each reason for the message that stops a run."""

    def __init__(self) -> None:
        self.rows = self.kept = self.unlabelled = 0
        self.reasons: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def add(self, chunk: ChunkResult) -> None:
        """Count a chunk.

        Raises:
            RuntimeError: kept and quarantined rows do not add up to the rows read.
        """
        if chunk.movies.num_rows + chunk.quarantine.num_rows != chunk.rows:
            raise RuntimeError("kept and quarantined rows do not add up to the rows read")
        self.rows += chunk.rows
        self.kept += chunk.movies.num_rows
        self.unlabelled += sum(not genres for genres in chunk.movies["genres"].to_pylist())
        for bad in chunk.quarantine.to_pylist():
            self.reasons[bad["reason"]] += 1
            where = f"{bad['source']} row {bad['row']}, column '{bad['column']}'"
            self.examples.setdefault(bad["reason"], where)

    def top_reasons(self) -> str:
        """Most frequent reasons, each with its count and first row."""
        return "; ".join(
            f"{count} {reason} (first: {self.examples[reason]})"
            for reason, count in self.reasons.most_common(3)
        )

    def require_usable(self, name: str, max_quarantined_share: float) -> None:
        """Raises UserError if there is nothing to learn from, or too much damage to trust it."""
        if not self.rows:
            raise UserError(f"{name}: a header but no rows.")
        if not self.kept:
            raise UserError(
                f"{name}: none of its {self.rows} rows can be used: {self.top_reasons()}."
            )
        harmless = sum(self.reasons[reason] for reason in HARMLESS)
        damaged, considered = sum(self.reasons.values()) - harmless, self.rows - harmless
        share = damaged / considered
        if considered >= ROWS_FOR_SHARES and share > max_quarantined_share:
            raise UserError(
                f"{name}: {share:.0%} of the rows are damaged, more than "
                f"--ingest.max_quarantined_share {max_quarantined_share} allows: "
                f"{self.top_reasons()}."
            )
