"""Scores of a run, and its comparison with the champion -> the verdict, in sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from tasks.registry.gate import Outcome
from tasks.reports.summary import LEAKY, METRIC_PREFIXES, Summary
from tasks.reports.texts.metric_names import (
    LIST_METRICS,
    METRIC_NAMES,
    SCORER_NAMES,
    Scores,
    lower_first,
    upper_first,
)

Row = Mapping[str, Any]
HEADLINES: dict[Outcome, str] = {
    "promoted": "Promoted: version {version} is the champion and answers from now on.",
    "rejected": "Not promoted: version {version} does not become the champion.",
    "borderline": "Undecided: version {version} waits for approval. The champion stays.",
}
GENRE_METRIC = "f1_micro"
BASELINES = [name for name in SCORER_NAMES if name != "ours"]


class Finding(BaseModel, frozen=True):
    """One part of a verdict: what it is about, and sentences."""

    title: str
    text: str


class Verdict(BaseModel, frozen=True):
    """The outcome of a run in one sentence, and what it rests on."""

    outcome: str
    headline: str
    findings: list[Finding]


def training_verdict(
    summary: Summary, preset: str, comparisons: Sequence[Row], missing: str
) -> Verdict:
    """The verdict about a training run.

    `comparisons` are rows of the gate; `missing` says why there are none.
    """
    with_champion = champion_text(comparisons) if comparisons else missing
    texts = {
        "Why": f"{upper_first(summary.why)}.",
        "Trained": trained_text(summary, preset),
        "Against the champion": with_champion,
        "Against the baselines": baselines_text(summary),
        "Popularity": popularity_text(summary.scores),
    }
    findings = [Finding(title=title, text=text) for title, text in texts.items() if text]
    headline = HEADLINES[summary.outcome].format(version=summary.model_version)
    return Verdict(outcome=summary.outcome, headline=headline, findings=findings)


def trained_text(summary: Summary, preset: str) -> str:
    """What was trained on which movies."""
    ingested, genres = summary.ingested, summary.scores.get("genres_learnt")
    learned = f", {count_text(int(genres), 'genre')} learned" if genres else ""
    return (
        f"A genre classifier and a recommender, preset {preset}, on {ingested.source}: "
        f"{count_text(ingested.kept, 'movie')}{learned}."
    )


def champion_text(comparisons: Sequence[Row]) -> str:
    """The compared metrics, grouped by whether they are higher, lower, or not clearly different."""
    with_champion = [row for row in comparisons if not row["is_best"]]
    groups: dict[str, list[str]] = {"Higher": [], "Lower": [], "No clear difference": []}
    for row in with_champion:
        groups[difference_word(row)].append(_compared(row))
    parts = [f"{name}: {'; '.join(texts)}." for name, texts in groups.items() if texts]
    opponent = with_champion[0]["opponent"]
    return f"Version {opponent}, on movies and queries kept for this alone. {' '.join(parts)}"


def difference_word(row: Row) -> str:
    """Whether the metric of a comparison is higher or lower, by the interval of its difference."""
    if row["low"] > 0:
        return "Higher"
    return "Lower" if row["high"] < 0 else "No clear difference"


def _compared(row: Row) -> str:
    name = lower_first(METRIC_NAMES[row["score"]].words)
    return f"{name} {row['challenger']:.3f} against {row['champion']:.3f}"


def comparison_rows(comparisons: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows of the gate for the report, with names of metrics in words, and their keys."""
    return [
        {
            "metric": METRIC_NAMES[row["score"]].words,
            "compared_with": f"version {row['opponent']}, {_opponent_role(row)}",
            "this run": row["challenger"],
            "that version": row["champion"],
            "difference": f"{row['difference']:+.3f}",
            "95% interval": f"{row['low']:+.3f} to {row['high']:+.3f}",
            "result": difference_word(row).lower(),
            "observations": row["observations"],
            "key": None if row["is_best"] else f"gate_{row['score']}",
        }
        for row in comparisons
    ]


def _opponent_role(row: Row) -> str:
    return "the best kept" if row["is_best"] else "the champion"


def baselines_text(summary: Summary) -> str:
    """Whether the headline scores are better than those of the baselines."""
    if summary.protocol == "blog":
        return LEAKY
    texts = [_genres_against_tfidf(summary), _lists_against_best(summary.scores)]
    return " ".join(text for text in texts if text)


def _genres_against_tfidf(summary: Summary) -> str:
    scores, key = summary.scores, f"{METRIC_PREFIXES[summary.protocol]}_{GENRE_METRIC}"
    score, tfidf = scores.get(key), scores.get(f"baseline_tfidf_{GENRE_METRIC}")
    if score is None or tfidf is None:
        return ""
    low, high = (scores.get(f"{key}_over_tfidf_{end}") for end in ("low", "high"))
    is_clear = low is not None and high is not None and (low > 0 or high < 0)
    name = METRIC_NAMES[GENRE_METRIC].words
    return f"Genres: {name} {score:.3f}, {_than(score, tfidf, is_clear)} TF-IDF's {tfidf:.3f}."


def _lists_against_best(scores: Scores) -> str:
    metric = next((name for name in LIST_METRICS if f"rec_{name}" in scores), "top20_share")
    rivals = {name: scores.get(f"rec_baseline_{name}_{metric}") for name in BASELINES}
    known = {name: value for name, value in rivals.items() if value is not None}
    if metric == "top20_share" or not known:
        return ""
    best, score = max(known, key=lambda name: known[name]), scores[f"rec_{metric}"]
    is_clear = _are_apart(scores, f"rec_{metric}", f"rec_baseline_{best}_{metric}")
    compared = _than(score, known[best], is_clear)
    name = lower_first(METRIC_NAMES[metric].words)
    return (
        f"Recommendations: {name} {score:.3f}, {compared} the {known[best]:.3f} of the best "
        f"baseline, {SCORER_NAMES[best]}."
    )


def _are_apart(scores: Scores, key: str, other: str) -> bool:
    """Whether two 95% intervals do not overlap."""
    ends = [scores.get(f"{name}_{end}") for name in (key, other) for end in ("low", "high")]
    low, high, other_low, other_high = (float("nan") if end is None else end for end in ends)
    return low > other_high or high < other_low


def _than(score: float, other: float, is_clear: bool) -> str:
    if not is_clear:
        return "not clearly different from"
    return "higher than" if score > other else "lower than"


def popularity_text(scores: Scores) -> str:
    """What popularity does to the lists."""
    share, lift = scores.get("rec_top20_share"), scores.get("rec_popularity_lift")
    if share is None:
        return ""
    text = f"20 movies take {share:.1%} of all recommendations."
    if lift is None:
        return text
    side = "more" if lift >= 0 else "less"
    points = f"{100 * abs(lift):.0f} percentile points"
    return f"{text} A recommended movie is on average {points} {side} popular than the query."


def count_text(number: int, noun: str) -> str:
    """A number with thousands separators, and its noun in the right form."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
