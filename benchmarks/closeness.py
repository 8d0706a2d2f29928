"""What the demo's words for a score mean: how many movies that close share a keyword or a series.

    python -m benchmarks.closeness path/to/movies_metadata.csv [--ingest.keywords keywords.csv]

Trains on a file with keywords and collections, which are no features of its ranking.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.answers import Closeness
from app.closeness import LOWEST, THRESHOLDS, closeness, self_score
from benchmarks.page import save_results
from benchmarks.recommenders import train
from tasks.recommend.evaluation.relevance import KeywordJudgements, franchises, keyword_judgements
from tasks.recommend.query import query_from_rows
from tasks.recommend.scoring import (
    RankConfig,
    score_contributions,
    similarity_features,
    weighted_scores,
)
from tasks.recommend.search import Version, get_version
from tasks.registry.champion import load_champion

RESULTS = Path(__file__).with_name("closeness.json")
QUERIES = 500
COMPARED = 50  # best judged movies of each query: as many as the longest list of the page
LEAST: dict[Closeness, float] = {words: least for least, words in THRESHOLDS} | {LOWEST: 0.0}


def words_by_row(
    version: Version, rank: RankConfig, row: int, others: Sequence[int]
) -> dict[int, Closeness]:
    """The closeness to the movie in `row` of the best `COMPARED` of some others."""
    query = query_from_rows([row], version)
    features = similarity_features(query.features, version.catalogue.items)
    scores, question_score = weighted_scores(features, rank)[0], self_score(query, rank)
    best = sorted(set(others) - {row}, key=lambda other: -scores[other])[:COMPARED]
    return {
        other: closeness(score_contributions(features, rank, other), question_score)
        for other in best
    }


def keyword_pairs(
    version: Version, rank: RankConfig, judged: KeywordJudgements
) -> Iterator[tuple[Closeness, bool]]:
    """The closeness of judged movies, and whether they share a keyword with their query."""
    rows = judged.rows.tolist()
    positions = np.random.default_rng(0).permutation(len(rows))[:QUERIES]
    for position in positions:
        shares_keyword = dict(zip(rows, judged.gains(int(position)) > 0, strict=True))
        for row, words in words_by_row(version, rank, rows[position], rows).items():
            yield words, bool(shares_keyword[row])


def share_of_all_pairs(judged: KeywordJudgements) -> float:
    """How many of the judged movies share a keyword with a movie, on average."""
    positions = range(len(judged.rows))
    shares = [(judged.gains(position) > 0).sum() for position in positions]
    return float(np.mean(shares)) / (len(judged.rows) - 1)


def measured(version: Version, rank: RankConfig) -> dict[str, Any]:
    """For each of the words, the movies it is said of, and those that people judge alike."""
    table = version.table.to_arrow()
    judged = keyword_judgements(table["keywords"].to_pylist())
    pairs = Counter(keyword_pairs(version, rank, judged))
    series = franchises(table["collection"].to_pylist())
    members = Counter(
        words
        for row, others in series.items()
        for words in words_by_row(version, rank, row, list(others)).values()
    )
    by_words = {
        words: {
            "movies": pairs[words, True] + pairs[words, False],
            "share_keyword": pairs[words, True],
            "of_series": members[words],
        }
        for words in LEAST
    }
    everything = {"movies": len(table), "judged": len(judged.rows)}
    return everything | {"of_all_pairs": share_of_all_pairs(judged), "words": by_words}


def section(result: dict[str, Any]) -> str:
    """The figures as a section of `benchmarks/README.md`."""
    members = sum(row["of_series"] for row in result["words"].values())
    rows = [
        f"| {words} | {LEAST[words] or '–'} | {row['movies']:,} | "
        f"{row['share_keyword'] / row['movies']:.0%} | {row['of_series'] / members:.0%} |"
        for words, row in result["words"].items()
    ]
    lines = [
        "## Closeness in words: `python -m benchmarks.closeness FILE`",
        "",
        f"{result['movies']:,} movies, of which people gave {result['judged']:,} five keywords or",
        f"more: the {COMPARED} best of these for each of {QUERIES} of them. Of all pairs of them,",
        f"{result['of_all_pairs']:.0%} share a keyword. Of the other movies of a series",
        f"({members:,} pairs), the last column has those that the words are said of.",
        "",
        "| words | from (part of the own score) | movies | share a keyword | of a series |",
        "|---|---|---|---|---|",
        *rows,
    ]
    return "\n".join(lines) + "\n"


def main(path: Path, options: Sequence[str]) -> None:
    """Train, measure, save the results."""
    with tempfile.TemporaryDirectory() as folder:
        train(path, f"{folder}/root", options)
        champion = load_champion()
        result = measured(get_version(champion.index), champion.rank)
    save_results(RESULTS, result)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
