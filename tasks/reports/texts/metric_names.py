"""Keys of metrics and columns of tables -> names that a reader understands."""

from collections.abc import Mapping
from typing import NamedTuple

Scores = Mapping[str, float]
HIGHER, LOWER, NEAR_ZERO = "higher is better", "lower is better", "0 is neutral"
RECOMMENDED = "rec"  # prefix of the metrics of lists


class MetricName(NamedTuple):
    """A metric in words, its usual name, and which values are good."""

    words: str
    term: str
    good: str = HIGHER


GENRE_METRICS = {
    "f1_micro": MetricName("F1 over all genre labels", "F1 micro"),
    "f1_macro": MetricName("F1, mean over the genres", "F1 macro"),
    "precision_micro": MetricName("Precision over all genre labels", "Precision micro"),
    "recall_micro": MetricName("Recall over all genre labels", "Recall micro"),
    "average_precision_macro": MetricName(
        "Average precision, mean over the genres", "Average precision macro"
    ),
}
LIST_METRICS = {
    "keyword_ndcg_at_10": MetricName(
        "Agreement of the top 10 with human keywords", "Keyword nDCG@10"
    ),
    "franchise_recall_at_10": MetricName(
        "Movies of the same franchise found in the top 10", "Franchise recall@10"
    ),
    "colike_matched_auc": MetricName(
        "Movies liked by the same users ranked above equally popular ones",
        "Co-like AUC, vote-matched",
    ),
    "known_item_recall_at_10": MetricName(
        "Described movies found in the top 10", "Known-item recall@10"
    ),
    "colike_ndcg_at_10": MetricName(
        "Movies liked by the same users in the top 10", "Co-like nDCG@10"
    ),
    "top20_share": MetricName(
        "Share of all recommendations that 20 movies take", "Share of the top 20 movies", LOWER
    ),
    "popularity_lift": MetricName(
        "Popularity of the recommended movies above that of the query",
        "Popularity lift",
        NEAR_ZERO,
    ),
}
METRIC_NAMES = GENRE_METRICS | LIST_METRICS
#: Scorers of lists in words, by the name in their metrics.
SCORER_NAMES = {
    "ours": "this run",
    "tfidf": "TF-IDF",
    "tfidf_genre": "TF-IDF and genre",
    "bm25": "BM25",
    "genre": "genre",
    "no_text": "genre, year and votes",
    "popularity": "popularity",
    "random": "random",
}
#: Titles of table columns whose names are abbreviations.
COLUMN_TITLES = {
    "f1": "F1",
    "f1_micro": "F1 over all labels",
    "f1_macro": "F1, mean over genres",
    "support": "test movies",
    "slice": "group by",
    "carries_it": "has the genre",
    "bar": "share needed",
    "first_file": "first file",
    "first_row": "first row",
    "first_value": "first value",
}


def metric_key(metric: str, genre_prefix: str) -> str:
    """The key of a metric of this run in MLflow."""
    return f"{genre_prefix if metric in GENRE_METRICS else RECOMMENDED}_{metric}"


def column_title(column: str) -> str:
    """The title of a table column."""
    return COLUMN_TITLES.get(column, column.replace("_", " "))


def lower_first(text: str) -> str:
    """The text for the middle of a sentence; a name such as F1 keeps its capital."""
    return text if text[:2].upper() == text[:2] else f"{text[:1].lower()}{text[1:]}"


def upper_first(text: str) -> str:
    """The text for the start of a sentence."""
    return f"{text[:1].upper()}{text[1:]}"
