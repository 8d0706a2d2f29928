"""Counts of kept and quarantined rows -> decision whether a source is usable."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from tasks.core.contracts import UserError

#: Reasons that are common in intact catalogues. They do not count as invalid rows.
HARMLESS = (
    *("missing_overview", "placeholder_overview", "repeated_overview", "folded_row"),
    "repeated_header",
)
ROWS_FOR_SHARES = 50  # with fewer rows, the share of invalid rows is not meaningful
MAX_REASONS_SHOWN = 3


class ChunkResult(NamedTuple):
    """Result of a chunk of `rows` source rows: each is in exactly one of the two tables."""

    movies: pa.Table
    quarantine: pa.Table
    rows: int


class RowCounts:
    """Counts of all chunks read so far, with the first row of each reason for messages."""

    def __init__(self) -> None:
        self.rows = self.kept = self.unlabelled = self.undated = 0
        self.reasons: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    @property
    def quarantined(self) -> int:
        """Number of rejected rows."""
        return self.rows - self.kept

    def add(self, chunk: ChunkResult) -> None:
        """Add the counts of a chunk.

        Raises:
            RuntimeError: kept and quarantined rows do not sum to the rows read.
        """
        if chunk.movies.num_rows + chunk.quarantine.num_rows != chunk.rows:
            raise RuntimeError("kept and quarantined rows do not sum to the rows read")
        self.rows += chunk.rows
        self.kept += chunk.movies.num_rows
        self.unlabelled += sum(not genres for genres in chunk.movies["genres"].to_pylist())
        self.undated += chunk.movies["year"].null_count
        for rejected in chunk.quarantine.to_pylist():
            self._add_rejected(rejected)

    def _add_rejected(self, rejected: Mapping[str, Any]) -> None:
        self.reasons[rejected["reason"]] += 1
        example = f"{rejected['source']} row {rejected['row']}, column '{rejected['column']}'"
        self.examples.setdefault(rejected["reason"], example)

    def top_reasons(self) -> str:
        """The most frequent reasons, each with its count and first row."""
        return "; ".join(
            f"{count} {reason} (first: {self.examples[reason]})"
            for reason, count in self.reasons.most_common(MAX_REASONS_SHOWN)
        )

    def require_usable(self, name: str, max_quarantined_share: float) -> None:
        """Raise UserError if no row is valid, or if the share of invalid rows is too high."""
        if not self.rows:
            raise UserError(f"{name}: the file has a header but no rows.")
        if not self.kept:
            raise UserError(f"{name}: none of its {self.rows} rows is valid: {self.top_reasons()}.")
        n_harmless = sum(self.reasons[reason] for reason in HARMLESS)
        n_checked = self.rows - n_harmless
        share = (self.quarantined - n_harmless) / n_checked
        if n_checked >= ROWS_FOR_SHARES and share > max_quarantined_share:
            raise UserError(
                f"{name}: {share:.0%} of the rows are invalid, more than "
                f"--ingest.max-quarantined-share {max_quarantined_share} allows: "
                f"{self.top_reasons()}."
            )
