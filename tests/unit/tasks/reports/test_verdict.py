import pytest

from tasks.core.contracts import IndexRef, IngestRef, QuarantineRef, RunRef
from tasks.reports.summary import LEAKY, Summary
from tasks.reports.verdict import (
    baselines_text,
    champion_text,
    comparison_rows,
    popularity_text,
    trained_text,
    training_verdict,
)

INGESTED = IngestRef(
    source="movies.csv",
    digest="d",
    files=(),
    chunks=(),
    quarantine=QuarantineRef(paths=("q",), digest="d"),
    rows=1200,
    kept=1200,
    unlabelled=0,
    unreadable_keywords=0,
    unreadable_credits=0,
    reasons={},
)
SUMMARY = Summary(
    protocol="held-out",
    scores={},
    ingested=INGESTED,
    index=IndexRef(uri="u", tag="t"),
    run=RunRef(run_id="abc", experiment_id="1", tracking_uri="sqlite:///m.db"),
    model_version="4",
    outcome="promoted",
    why="no earlier champion",
)


def compared(score: str, low: float, high: float, is_best: bool = False) -> dict[str, object]:
    values = {"champion": 0.5, "challenger": 0.5 + (low + high) / 2, "observations": 90}
    ends = {"difference": (low + high) / 2, "low": low, "high": high}
    return {"score": score, "opponent": "3", "is_best": is_best, **values, **ends}


def with_scores(**scores: float) -> Summary:
    return SUMMARY.model_copy(update={"scores": scores})


@pytest.mark.parametrize(
    ("outcome", "headline"),
    [
        ("promoted", "Promoted: version 4 is the champion and answers from now on."),
        ("rejected", "Not promoted: version 4 does not become the champion."),
        ("borderline", "Undecided: version 4 waits for approval. The champion stays."),
    ],
)
def test_the_headline_says_what_became_of_the_version(outcome, headline):
    summary = SUMMARY.model_copy(update={"outcome": outcome})
    assert training_verdict(summary, "default", [], "No champion.").headline == headline


def test_a_verdict_says_why_and_what_it_was_compared_with():
    verdict = training_verdict(SUMMARY, "default", [], "There was no champion.")
    texts = {finding.title: finding.text for finding in verdict.findings}
    assert texts["Why"] == "No earlier champion."
    assert texts["Against the champion"] == "There was no champion."
    assert "Popularity" not in texts  # without lists nothing is said of them


def test_what_was_trained_names_preset_source_movies_and_genres():
    assert trained_text(with_scores(genres_learnt=20), "blog") == (
        "A genre classifier and a recommender, preset blog, on movies.csv: 1,200 movies, "
        "20 genres learned."
    )


def test_metrics_are_higher_or_lower_than_the_champion_s_only_if_the_interval_says_so():
    rows = [
        compared("f1_micro", 0.01, 0.03),
        compared("franchise_recall_at_10", -0.03, -0.01),
        compared("keyword_ndcg_at_10", -0.01, 0.03),
        compared("f1_macro", 0.01, 0.03, is_best=True),
    ]
    assert champion_text(rows) == (
        "Version 3, on movies and queries kept for this alone. "
        "Higher: F1 over all genre labels 0.520 against 0.500. "
        "Lower: movies of the same franchise found in the top 10 0.480 against 0.500. "
        "No clear difference: agreement of the top 10 with human keywords 0.510 against 0.500."
    )


def test_rows_of_the_gate_have_words_keys_and_a_result():
    champion, best = comparison_rows(
        [compared("f1_micro", -0.01, 0.03), compared("f1_micro", 0.01, 0.03, is_best=True)]
    )
    assert champion["metric"] == "F1 over all genre labels"
    assert (champion["key"], best["key"]) == ("gate_f1_micro", None)
    assert champion["compared_with"] == "version 3, the champion"
    assert (champion["difference"], champion["95% interval"]) == ("+0.010", "-0.010 to +0.030")
    assert (champion["result"], best["result"]) == ("no clear difference", "higher")
    assert best["compared_with"] == "version 3, the best kept"


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.01, 0.05, "higher than"),
        (-0.01, 0.05, "not clearly different from"),
        (None, None, "not clearly different from"),
    ],
)
def test_genres_are_better_than_tfidf_only_if_the_interval_of_the_difference_says_so(
    low, high, words
):
    scores = {"test_f1_micro": 0.65, "baseline_tfidf_f1_micro": 0.62}
    if low is not None:
        scores |= {"test_f1_micro_over_tfidf_low": low, "test_f1_micro_over_tfidf_high": high}
    assert baselines_text(with_scores(**scores)) == (
        f"Genres: F1 over all genre labels 0.650, {words} TF-IDF's 0.620."
    )


def list_scores(score: float) -> dict[str, float]:
    """The headline of lists, with the best and another baseline; intervals are .02 wide."""
    values = {"rec": score, "rec_baseline_tfidf": 0.15, "rec_baseline_random": 0.01}
    ends = {"": 0.0, "_low": -0.01, "_high": 0.01}
    return {
        f"{name}_keyword_ndcg_at_10{end}": value + shift
        for name, value in values.items()
        for end, shift in ends.items()
    }


@pytest.mark.parametrize(
    ("score", "words"),
    [(0.2, "higher than"), (0.16, "not clearly different from"), (0.1, "lower than")],
)
def test_lists_are_compared_with_the_best_baseline_by_intervals(score, words):
    assert baselines_text(with_scores(**list_scores(score))) == (
        f"Recommendations: agreement of the top 10 with human keywords {score:.3f}, {words} the "
        "0.150 of the best baseline, TF-IDF."
    )


def test_leaky_scores_are_compared_with_nothing():
    leaky = with_scores(blog_f1_micro=0.9, baseline_tfidf_f1_micro=0.6)
    assert baselines_text(leaky.model_copy(update={"protocol": "blog"})) == LEAKY


def test_popularity_is_told_in_percent_and_points():
    scores = {"rec_top20_share": 0.0234, "rec_popularity_lift": -0.081}
    assert popularity_text(scores) == (
        "20 movies take 2.3% of all recommendations. A recommended movie is on average "
        "8 percentile points less popular than the query."
    )
