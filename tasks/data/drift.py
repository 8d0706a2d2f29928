"""Documents -> what the source looks like, and how far it has moved from the champion's source.

Distributions are compared by the population stability index, Σ (new - old) · ln(new / old) over
their bins: below 0.1 nothing happened, above 0.25 it is another population (Siddiqi, Credit Risk
Scorecards, 2006).
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, Field

from tasks.core.contracts import DocumentsRef, ProfileRef, ScoresRef, UserError
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig

VERSION = 1
LENGTH_BINS = (10, 20, 40, 60, 80, 120)  # words of a document that part one bin from the next
MAX_SAMPLED_DOCUMENTS = 2000  # documents whose words are looked up
MIN_SHARE = 1e-4  # of a bin that is empty on one side
DISTRIBUTIONS = ("genres", "decades", "lengths")


class DriftConfig(StrictConfig):
    """How far a source may move from the champion's."""

    warn_above: float = Field(
        0.1, ge=0, description="Population stability index from which a run warns"
    )
    stop_above: float | None = Field(
        None,
        ge=0,
        description="… and from which it stops before anything is published; null: never",
    )


class SourceProfile(BaseModel, frozen=True):
    """Movies of a source, and in how many of them each genre, decade and length is found."""

    movies: int
    genres: dict[str, int]
    decades: dict[str, int]
    lengths: dict[str, int]


def build_profile(documents: Iterable[pa.Table]) -> SourceProfile:
    """Count documents that come some at a time."""
    movies, genres, decades, lengths = 0, Counter[str](), Counter[str](), Counter[str]()
    for table in documents:
        movies += table.num_rows
        genres.update(name for names in table["genres"].to_pylist() for name in names)
        years = table["year"].to_pylist()
        decades.update(f"{year // 10 * 10}s" if year else "unknown" for year in years)
        words = [len(text.split()) for text in table["document"].to_pylist()]
        lengths.update(map(_length, np.digitize(words, LENGTH_BINS).tolist()))
    return SourceProfile(movies=movies, genres=genres, decades=decades, lengths=lengths)


def _length(at: int) -> str:
    return f"from {LENGTH_BINS[at - 1]}" if at else f"under {LENGTH_BINS[0]}"


def stability_index(old: Mapping[str, int], new: Mapping[str, int]) -> float:
    """Population stability index of two counts; 0 where they are in the same proportions."""
    totals = max(1, sum(old.values())), max(1, sum(new.values()))
    index = 0.0
    for name in old.keys() | new.keys():
        before, now = (
            max(MIN_SHARE, counts.get(name, 0) / total)
            for counts, total in zip((old, new), totals, strict=True)
        )
        index += (now - before) * math.log(now / before)
    return index


def drift_metrics(old: SourceProfile, new: SourceProfile, unknown_words: float) -> dict[str, float]:
    """Index of each distribution, how many times as many movies, share of words never learnt."""
    found = {
        f"drift_{name}": stability_index(getattr(old, name), getattr(new, name))
        for name in DISTRIBUTIONS
    }
    return found | {
        "drift_movies_ratio": new.movies / max(1, old.movies),
        "drift_unknown_words": unknown_words,
    }


def unknown_words(documents: Iterable[pa.Table], rows: int, doc2vec: Path) -> float:
    """Share of the tokens of an even sample of documents that a stored model does not know."""
    step = max(1, rows // MAX_SAMPLED_DOCUMENTS)
    vocabulary = set(pq.read_table(doc2vec / "vocabulary.parquet")["word"].to_pylist())
    texts = [text for part in documents for text in part["document"].to_pylist()[::step]]
    tokens = [token for text in texts for token in text.split()]
    known = sum(token in vocabulary for token in tokens)
    return 1 - known / max(1, len(tokens))


def distributions_above(found: Mapping[str, float], limit: float | None) -> list[str]:
    """Distributions that moved further than a limit, with how far."""
    if limit is None:
        return []
    indices = {name: found[f"drift_{name}"] for name in DISTRIBUTIONS}
    return [f"{name} {index:.2f}" for name, index in indices.items() if index > limit]


@task(name="profile-source", cache_policy=NO_CACHE)
def profile_source(documents: DocumentsRef) -> ProfileRef:
    """What the source looks like, for the runs that come after this one."""

    def write(writer: store.EntryWriter) -> ProfileRef:
        found = build_profile(store.chunks(documents, ["genres", "year", "document"]))
        store.write_json(writer.folder / "profile.json", found.model_dump())
        return writer.file_ref(ProfileRef, "profile.json", documents.rows)

    return store.get_or_create("profile", [VERSION, documents.digest], ProfileRef, write)


@task(name="check-drift", cache_policy=NO_CACHE)
def check_drift(
    documents: DocumentsRef,
    profile: ProfileRef,
    old: Path,
    doc2vec: Path,
    config: DriftConfig,
) -> ScoresRef:
    """Compare the source with the champion's, whose profile and Doc2Vec model lie in two paths.

    Raises:
        UserError: it has moved further than `stop_above` allows.
    """

    def write(writer: store.EntryWriter) -> ScoresRef:
        before, now = (
            SourceProfile.model_validate(store.read_json(path))
            for path in (old, store.locate(profile))
        )
        parts = store.chunks(documents, ["document"])
        found = drift_metrics(before, now, unknown_words(parts, documents.rows, doc2vec))
        store.write_json(writer.folder / "metrics.json", found)
        pq.write_table(pa.Table.from_pylist(_rows(before, now)), writer.folder / "drift.parquet")
        return writer.folder_ref(ScoresRef, documents.rows)

    key = [VERSION, documents.digest, store.file_digest(old), str(doc2vec)]
    ref = store.get_or_create("drift", key, ScoresRef, write)
    folder = store.locate(ref)
    found = store.read_json(folder / "metrics.json")
    create_table_artifact([found], key="drift", description="Since the champion's source")
    rows = pq.read_table(folder / "drift.parquet").to_pylist()
    create_table_artifact(rows, key="drift-bins", description="Share of movies, before and now")
    if far := distributions_above(found, config.stop_above):
        raise UserError(
            f"The source has moved too far from the champion's: {', '.join(far)} "
            f"(--drift.stop_above {config.stop_above})."
        )
    if moved := distributions_above(found, config.warn_above):
        get_run_logger().warning("The source has moved: %s", ", ".join(moved))
    return ref


def _rows(old: SourceProfile, new: SourceProfile) -> list[dict[str, Any]]:
    """Share of each bin before and now, greatest change first."""
    rows = [
        {
            "distribution": name,
            "bin": bin_,
            "before": getattr(old, name).get(bin_, 0) / max(1, old.movies),
            "now": getattr(new, name).get(bin_, 0) / max(1, new.movies),
        }
        for name in DISTRIBUTIONS
        for bin_ in sorted(getattr(old, name).keys() | getattr(new, name).keys())
    ]
    return sorted(rows, key=lambda row: -abs(row["now"] - row["before"]))
