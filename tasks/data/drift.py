"""Movies -> profile of the source, and its drift from the champion's source.

Texts are measured as they were read, whatever settings of the documents changed since.

Distributions are compared by the population stability index, Σ (new - old) · ln(new / old) over
their bins. Below 0.1 there is no relevant change, above 0.25 the populations differ (Siddiqi,
Credit Risk Scorecards, 2006).
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from prefect import get_run_logger
from pydantic import BaseModel, Field
from scipy.special import chdtri

from tasks.core.contracts import MoviesRef, ProfileRef, ScoresRef, UserError
from tasks.core.orchestration.artifact_tables import show_table
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig
from tasks.data.preprocess import TextConfig, document_tokens

LENGTH_BINS = (50, 100, 200, 300, 450, 700, 1000)  # lower bounds, in characters of an overview
MAX_SAMPLED_MOVIES = 2000  # movies whose words are looked up in the vocabulary
CHANCE_LEVEL = 0.99  # quantile of the index of two samples of one population
MIN_SHARE = 1e-4  # used for a bin that is empty on one side
DISTRIBUTIONS = ("genres", "decades", "text_lengths")
BINS = pa.schema(
    [("distribution", pa.string()), ("bin", pa.string())]
    + [(name, pa.float64()) for name in ("before", "now")]
)


class DriftConfig(StrictConfig):
    """How much a source may differ from the champion's source."""

    warn_above: float = Field(
        0.1, ge=0, description="Population stability index above which the run logs a warning"
    )
    stop_above: float | None = Field(
        None,
        ge=0,
        description="Population stability index above which the run fails before it trains "
        "anything; null: never",
    )


class SourceProfile(BaseModel, frozen=True):
    """Number of movies of a source, and how many there are by genre, decade and text length.

    A distribution that an earlier release did not count is empty.
    """

    movies: int
    genres: dict[str, int]
    decades: dict[str, int]
    text_lengths: dict[str, int] = {}


def build_profile(chunks: Iterable[pa.Table]) -> SourceProfile:
    """Count the movies of several tables (columns `genres`, `year`, `overview`)."""
    movies, genres, decades, lengths = 0, Counter[str](), Counter[str](), Counter[str]()
    for table in chunks:
        movies += table.num_rows
        genres.update(name for names in table["genres"].to_pylist() for name in names)
        years = table["year"].to_pylist()
        decades.update(f"{year // 10 * 10}s" if year else "unknown" for year in years)
        characters = pc.utf8_length(table["overview"]).to_numpy()
        lengths.update(map(_bin_name, np.digitize(characters, LENGTH_BINS).tolist()))
    return SourceProfile(movies=movies, genres=genres, decades=decades, text_lengths=lengths)


def _bin_name(bin_number: int) -> str:
    """Name of a bin of `np.digitize`: `under 50`, `from 50`, `from 100`, …"""
    return f"from {LENGTH_BINS[bin_number - 1]}" if bin_number else f"under {LENGTH_BINS[0]}"


def stability_index(old: Mapping[str, int], new: Mapping[str, int]) -> float:
    """Population stability index of two counts by bin; 0 if the proportions are equal."""
    old_total, new_total = max(1, sum(old.values())), max(1, sum(new.values()))
    index = 0.0
    for name in old.keys() | new.keys():
        old_share = max(MIN_SHARE, old.get(name, 0) / old_total)
        new_share = max(MIN_SHARE, new.get(name, 0) / new_total)
        index += (new_share - old_share) * math.log(new_share / old_share)
    return index


def index_by_chance(old: Mapping[str, int], new: Mapping[str, int]) -> float:
    """The index that two samples of one population stay below, with probability .99.

    Under no change, the index is about chi-squared, times the sum of the reciprocal sizes
    (Yurdakul, Statistical Properties of Population Stability Index, 2018).
    """
    freedom = max(1, len(old.keys() | new.keys()) - 1)
    sizes = 1 / max(1, sum(old.values())) + 1 / max(1, sum(new.values()))
    return float(chdtri(freedom, 1 - CHANCE_LEVEL) * sizes)


def drift_metrics(old: SourceProfile, new: SourceProfile, unknown_share: float) -> dict[str, float]:
    """Stability index by distribution, ratio of the movie counts, and share of unknown words.

    `drift_…_chance` is what the index may be by chance. A distribution that one profile lacks is
    missing.
    """
    metrics = {
        "drift_movies_ratio": new.movies / max(1, old.movies),
        "drift_unknown_words": unknown_share,
    }
    for name in DISTRIBUTIONS:
        counts = getattr(old, name), getattr(new, name)
        if all(counts):
            metrics[f"drift_{name}"] = stability_index(*counts)
            metrics[f"drift_{name}_chance"] = index_by_chance(*counts)
    return metrics


def unknown_word_share(chunks: Iterable[pa.Table], rows: int, doc2vec: Path) -> float:
    """Share of tokens of the movies that a Doc2Vec model in a folder does not know.

    The tokens are those that the model's own settings make of title and overview. Reads an even
    sample of the `rows` movies.
    """
    step = max(1, rows // MAX_SAMPLED_MOVIES)
    text = TextConfig.model_validate(store.read_json(doc2vec / "text.json"), extra="ignore")
    vocabulary = set(pq.read_table(doc2vec / "vocabulary.parquet")["word"].to_pylist())
    sampled = (
        zip(table["title"].to_pylist()[::step], table["overview"].to_pylist()[::step], strict=True)
        for table in chunks
    )
    documents = (document_tokens(*movie, text) for movies in sampled for movie in movies)
    tokens = [token for document in documents for token in document]
    n_known = sum(token in vocabulary for token in tokens)
    return 1 - n_known / max(1, len(tokens))


def distributions_above(metrics: Mapping[str, float], limit: float | None) -> list[str]:
    """Name and index of every distribution above `limit` and above chance; none if it is None."""
    if limit is None:
        return []
    compared = [name for name in DISTRIBUTIONS if f"drift_{name}" in metrics]
    return [
        f"{name} {metrics[f'drift_{name}']:.2f}"
        for name in compared
        if metrics[f"drift_{name}"] > max(limit, metrics[f"drift_{name}_chance"])
    ]


def profile_source(chunks: Sequence[MoviesRef]) -> ProfileRef:
    """Profile of the source, stored so that later runs can compare theirs with it."""

    def write(writer: store.EntryWriter) -> ProfileRef:
        tables = (store.read(chunk, ["genres", "year", "overview"]) for chunk in chunks)
        store.write_json(writer.folder / "profile.json", build_profile(tables).model_dump())
        return writer.file_ref(ProfileRef, "profile.json", sum(chunk.rows for chunk in chunks))

    return store.get_or_create("profile", [chunk.digest for chunk in chunks], ProfileRef, write)


def measure_drift(
    chunks: Sequence[MoviesRef],
    profile: ProfileRef,
    old: Path,
    doc2vec: Path,
    config: DriftConfig,
) -> ScoresRef:
    """Compare the source with the champion's source, and show the drift in Prefect.

    `old` is the profile file of the champion's source, `doc2vec` the folder of its Doc2Vec model.

    Raises:
        UserError: the drift exceeds `stop_above`.
    """

    def write(writer: store.EntryWriter) -> ScoresRef:
        tables = (store.read(chunk, ["title", "overview"]) for chunk in chunks)
        _write_comparison(
            writer.folder,
            old=_read_profile(old),
            new=_read_profile(store.locate(profile)),
            unknown_share=unknown_word_share(tables, profile.rows, doc2vec),
        )
        return writer.folder_ref(ScoresRef, profile.rows)

    digests = [chunk.digest for chunk in chunks]
    key = [digests, profile.digest, store.file_digest(old), str(doc2vec)]
    ref = store.get_or_create("drift", key, ScoresRef, write)
    metrics = _show_drift(store.locate(ref))
    require_little_drift(metrics, config)
    return ref


def _write_comparison(
    folder: Path, old: SourceProfile, new: SourceProfile, unknown_share: float
) -> None:
    """Write the metrics and the table of all bins."""
    store.write_json(folder / "metrics.json", drift_metrics(old, new, unknown_share))
    pq.write_table(pa.Table.from_pylist(_bin_rows(old, new), BINS), folder / "drift.parquet")


def _read_profile(file: Path) -> SourceProfile:
    return SourceProfile.model_validate(store.read_json(file))


def _show_drift(folder: Path) -> dict[str, float]:
    """Create the artifacts of a stored comparison; returns its metrics."""
    metrics: dict[str, float] = store.read_json(folder / "metrics.json")
    show_table(
        _shown_metrics(metrics),
        key="drift",
        description="How far this source differs from the champion's, and what two samples of one "
        "source may differ by chance.",
    )
    show_table(
        pq.read_table(folder / "drift.parquet").to_pylist(),
        key="drift-bins",
        description="Shares of the movies in the champion's source (before) and in this one (now).",
    )
    return metrics


def _shown_metrics(metrics: Mapping[str, float]) -> list[dict[str, Any]]:
    """The metrics as rows of Prefect's table."""
    rows = [
        {
            "measure": f"stability index of {name.replace('_', ' ')}",
            "value": metrics[f"drift_{name}"],
            "by chance below": metrics[f"drift_{name}_chance"],
        }
        for name in DISTRIBUTIONS
        if f"drift_{name}" in metrics
    ]
    others = {
        "movies, as a multiple of the champion's": metrics["drift_movies_ratio"],
        "share of words that the champion does not know": metrics["drift_unknown_words"],
    }
    return rows + [
        {"measure": name, "value": value, "by chance below": None} for name, value in others.items()
    ]


def require_little_drift(metrics: Mapping[str, float], config: DriftConfig) -> None:
    """Log drift above `warn_above`; raise UserError if it exceeds `stop_above`."""
    if too_far := distributions_above(metrics, config.stop_above):
        raise UserError(
            f"The source has drifted too far from the champion's: {', '.join(too_far)} "
            f"(limit: --drift.stop-above {config.stop_above})."
        )
    if drifted := distributions_above(metrics, config.warn_above):
        get_run_logger().warning(
            "The source has drifted from the champion's: %s", ", ".join(drifted)
        )


def _bin_rows(old: SourceProfile, new: SourceProfile) -> list[dict[str, Any]]:
    """Share of movies in each bin of the old and the new source, largest change first."""
    rows = [
        {
            "distribution": name,
            "bin": bin_name,
            "before": getattr(old, name).get(bin_name, 0) / max(1, old.movies),
            "now": getattr(new, name).get(bin_name, 0) / max(1, new.movies),
        }
        for name in DISTRIBUTIONS
        if getattr(old, name) and getattr(new, name)  # an earlier release did not count it
        for bin_name in sorted(getattr(old, name).keys() | getattr(new, name).keys())
    ]
    return sorted(rows, key=lambda row: -abs(row["now"] - row["before"]))
