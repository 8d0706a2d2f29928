"""Summary and tables of a training run -> the model card of its version."""

from collections.abc import Sequence
from typing import Any

from tasks.reports.summary import (
    METRIC_PREFIXES,
    Summary,
    format_score,
    notes,
    row_counts_text,
    run_page,
    title_text,
)

MODEL_CARD = "model_card.md"
DESCRIPTION_LENGTH = 5000  # characters of MLflow's description of a version
WEAKEST, MIN_SUPPORT = 3, 5  # genres and slices named; test movies that they need
Row = dict[str, Any]
#: Scores of the card: title, metric, and the baseline beside it.
GENRE_SCORES = (("F1 micro", "f1_micro"), ("F1 macro", "f1_macro"))
LIST_SCORES = (
    ("Keyword nDCG@10", "keyword_ndcg_at_10"),
    ("Franchise recall@10", "franchise_recall_at_10"),
    ("Co-like AUC, vote-matched", "colike_matched_auc"),
    ("Known-item recall@10", "known_item_recall_at_10"),
)
POPULARITY = (
    ("Share of all answers that the 20 most recommended movies take", "rec_top20_share"),
    ("Popularity lift: vote percentile of the answers minus the query's", "rec_popularity_lift"),
    ("Share of the movies that are in any list", "rec_coverage_at_10"),
)


def model_card(summary: Summary, genres: Sequence[Row], slices: Sequence[Row]) -> str:
    """Markdown: what the version is for, its data, scores with intervals, biases and weaknesses.

    `genres` have `genre`, `support` and `f1`; `slices` have `slice`, `value`, `movies`, `f1_micro`.
    """
    return f"""# Version {summary.model_version}: {title_text(summary)}

Predicts the genres of a movie from title and overview, and lists similar movies of its catalogue. \
It is not meant for texts in languages that the catalogue does not have, nor for decisions about \
people.

## Data

{row_counts_text(summary.ingested)} Digest `{summary.ingested.digest[:12]}`. {_languages(slices)}

## Scores

{" ".join(notes(summary))}

| | this version (95% interval) | TF-IDF |
|---|---|---|
{_score_lines(summary)}

## Popularity bias

{_popularity_lines(summary)}

## Where it is weak

{_weak_lines(summary, genres, slices)}

[The run with its report]({run_page(summary.run)})
"""


def _languages(slices: Sequence[Row]) -> str:
    rows = [row for row in slices if row["slice"] == "language"]
    named = ", ".join(f"{row['value']} ({row['movies']})" for row in rows)
    return f"Original languages of the test movies: {named}."


def _score_lines(summary: Summary) -> str:
    prefix = METRIC_PREFIXES[summary.protocol]
    names = [(title, f"{prefix}_{name}", f"baseline_tfidf_{name}") for title, name in GENRE_SCORES]
    names += [(title, f"rec_{name}", f"rec_baseline_tfidf_{name}") for title, name in LIST_SCORES]
    return "\n".join(
        f"| {title} | {_with_interval(summary, name)} | {format_score(summary.scores.get(tfidf))} |"
        for title, name, tfidf in names
        if name in summary.scores
    )


def _with_interval(summary: Summary, name: str) -> str:
    score, low, high = (summary.scores.get(f"{name}{end}") for end in ("", "_low", "_high"))
    interval = f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else ""
    return f"{format_score(score)}{interval}"


def _popularity_lines(summary: Summary) -> str:
    return "\n".join(
        f"- {title}: {format_score(summary.scores[name])}"
        for title, name in POPULARITY
        if name in summary.scores
    )


def _weak_lines(summary: Summary, genres: Sequence[Row], slices: Sequence[Row]) -> str:
    """The genres, and the slices below the score of all movies, with the lowest F1."""
    overall = summary.scores[f"{METRIC_PREFIXES[summary.protocol]}_f1_micro"]
    judged = [row for row in genres if row["f1"] is not None and row["support"] >= MIN_SUPPORT]
    weak_genres = sorted(judged, key=lambda row: float(row["f1"]))[:WEAKEST]
    judged_slices = [
        row for row in slices if row["movies"] >= MIN_SUPPORT and row["value"] != "other"
    ]
    weak_slices = sorted(
        (row for row in judged_slices if row["f1_micro"] < overall),
        key=lambda row: float(row["f1_micro"]),
    )[:WEAKEST]
    lines = [f"- genre {row['genre']}: F1 {format_score(row['f1'])}" for row in weak_genres]
    lines += [
        f"- {row['slice']} {row['value']}: F1 micro {format_score(row['f1_micro'])}"
        for row in weak_slices
    ]
    return "\n".join(lines)
