"""The subcommand `validate`: files of movies -> what a run would make of them, in seconds."""

import json
from typing import Any

from pydantic import ConfigDict, Field
from pydantic_settings import CliPositionalArg

from flows.cli.command_line import DONE
from tasks.core.strict_config import StrictConfig
from tasks.data.ingest import MAX_UNDATED_SHARE, IngestConfig
from tasks.data.source_report import SourceReport, report_sources

SHOWN_GENRES = 30


class ValidateConfig(StrictConfig):
    """What a run would keep, quarantine, merge and guess, without training."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    source: CliPositionalArg[list[str]] = Field(
        min_length=1, description="Files of movies, or any other value of `train --source`"
    )
    ingest: IngestConfig = IngestConfig()
    as_json: bool = Field(False, alias="json", description="Print a JSON object")


def command(config: ValidateConfig) -> int:
    """Print the report of the sources.

    Raises:
        UserError: a source cannot be read, or too many of its rows are invalid to train on it.
    """
    report = report_sources(config.source, config.ingest)
    values = as_dict(report)
    print(json.dumps(values, ensure_ascii=False, indent=2) if config.as_json else as_text(report))
    report.counts.require_usable(report.name, config.ingest.max_quarantined_share)
    return DONE


def as_dict(report: SourceReport) -> dict[str, Any]:
    """The report as a JSON object."""
    counts = report.counts
    return {
        "source": report.name,
        "formats": report.formats,
        "columns": report.columns,
        "rows": counts.rows,
        "kept": counts.kept,
        "without_genres": counts.unlabelled,
        "without_year": counts.undated,
        "quarantined": dict(counts.reasons),
        "first_quarantined": counts.examples,
        "genres": dict(report.genres.most_common()),
        "merged_genres": report.merged,
    }


def as_text(report: SourceReport) -> str:
    """The report, a line for each finding."""
    counts = report.counts
    lines = [f"{name}: {form}" for name, form in report.formats.items()]
    columns = (name if name == f else f"{name} ({f})" for f, name in report.columns.items())
    lines.append(f"Columns: {', '.join(columns)}")
    lines.append(f"Rows: {counts.rows}, kept: {counts.kept}, quarantined: {counts.quarantined}")
    lines += [
        f"  {count} {reason} (first: {counts.examples[reason]})"
        for reason, count in counts.reasons.most_common()
    ]
    shown = report.genres.most_common(SHOWN_GENRES)
    lines.append(f"Genres: {', '.join(f'{name} {count}' for name, count in shown) or 'none'}")
    lines += [
        f"  {name}: written {', '.join(spellings)}" for name, spellings in report.merged.items()
    ]
    lines.append(f"Without genres: {counts.unlabelled}, without a year: {counts.undated}")
    if "release_date" in report.columns and counts.undated > MAX_UNDATED_SHARE * counts.kept:
        lines.append(f"Column {report.columns['release_date']}: many dates have no readable year.")
    return "\n".join(lines)
