"""Ranking weights, chosen on half of the queries and reported on the other half.

    python -m benchmarks.ranking FILE … --keywords keywords.csv [--root FOLDER]

Trains on each file and walks at random from the config's weights. A step is taken where keyword
nDCG plus franchise recall on the choosing half grow and no limit is broken: the share of the 20
most frequent movies, the popularity lift and the vote-matched co-like AUC. Ratings and
`known_items.csv` have to lie beside the files. `--root` keeps the trained recommenders for the next
call. The other rows of the table are ablations and alternatives (`ranking_alternatives`).
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.page import save_results
from benchmarks.ranking_alternatives import (
    Combination,
    learned_ranking,
    reciprocal_rank_fusion,
)
from benchmarks.ranking_weights import (
    MAX_TOP20_SHARE,
    choose_text_weights,
    choosing_half,
    random_walk,
    shown_weights,
)
from benchmarks.recommenders import Trained, trained
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import (
    BASELINES,
    RECOMMENDER,
    Queries,
    Scorers,
    fit_bm25,
    word_counts,
)
from tasks.recommend.evaluation.list_metrics import popularity_metrics
from tasks.recommend.evaluation.query_sets import coverage_queries
from tasks.recommend.evaluation.ranking_metrics import mean_with_interval
from tasks.recommend.evaluation.relevance_scores import (
    KNOWN_ITEMS,
    score_known_items,
    score_movies,
)
from tasks.recommend.scoring import (
    PRESETS,
    Array,
    RankConfig,
    TextWeights,
    similarity_features,
    weighted_scores,
)
from tasks.reports.plots import BLUE, GREY, ORANGE

RESULTS = Path(__file__).with_name("ranking.json")
FIGURE = Path(__file__).parents[1] / "docs" / "img" / "relevance-popularity.png"
TEXT_FEATURES = ("content", "words", "title", "hidden")
CURVE_VOTES = (0.0, 0.25, 0.5, 1.0, 1.5, 2.5, 4.0)  # from relevance alone to popularity
WITHOUT_PEOPLE = "without people"
METRICS = (
    "keyword_ndcg_at_10",
    "franchise_recall_at_10",
    "colike_matched_auc",
    "colike_ndcg_at_10",
)
HEADLINE = METRICS[0]
REPORTED_ITEMS = f"reported_{KNOWN_ITEMS}"


def variants(config: RankConfig) -> dict[str, RankConfig]:
    """The weights to report: ours, the preset, and ours without some features."""

    def without(*names: str) -> RankConfig:
        text = {name: 0.0 for name in names if name in TextWeights.model_fields}
        return config.model_copy(
            update=dict.fromkeys(names, 0.0) | {"text": config.text.model_copy(update=text)}
        )

    return {
        "ours": config,
        "preset popular": config.model_copy(update=PRESETS["popular"]),
        "without Doc2Vec (content, hidden)": without("content", "hidden"),
        "without words": without("words"),
        "without title": without("title"),
        "without any text": without(*TEXT_FEATURES),
        "without genre": without("genre"),
        WITHOUT_PEOPLE: without("people"),
        "without year": without("year"),
        "without quality prior": without("quality"),
    }


class VariantScorers(Scorers):
    """Combinations of the same similarity features, scored side by side."""

    def __init__(self, catalogue: Catalogue, combinations: Mapping[str, Combination]) -> None:
        super().__init__(catalogue, RankConfig())
        self.combinations, self.names = combinations, list(combinations)

    def scores(self, queries: Queries, *, is_text: bool = False) -> dict[str, Array]:
        """Scores (n_queries, n_movies) by name of the combination."""
        features = similarity_features(queries.features, self.items)
        return {name: combine(features) for name, combine in self.combinations.items()}


def report(recommender: Trained, config: RankConfig) -> list[dict[str, Any]]:
    """Metrics on the reported queries: ours, variants, alternatives and baselines."""
    catalogue = recommender.catalogue
    weighted = {
        name: partial(weighted_scores, config=variant) for name, variant in variants(config).items()
    }
    alternatives = {
        "reciprocal-rank fusion": reciprocal_rank_fusion,
        "learned to rank": learned_ranking(catalogue, choosing_keyword_queries(recommender)),
    }
    baselines = baseline_scorers(recommender, config)
    known = known_item_scores(recommender, config, baselines)
    combinations: dict[str, Combination] = {**weighted, **alternatives}
    combined = scored(recommender, VariantScorers(catalogue, combinations), known)
    return combined + scored(recommender, baselines, known)[1:]  # ours is the first of both


def choosing_keyword_queries(recommender: Trained) -> list[int]:
    """Rows of the keyword queries that a ranking may be learned on."""
    sets = recommender.query_sets["choosing"]
    return next(query_set.rows for query_set in sets if query_set.name == HEADLINE)


def report_people(recommender: Trained, config: RankConfig) -> list[dict[str, Any]]:
    """Metrics of a recommender with people: ours, ours without people, and their difference."""
    query_sets, names = recommender.query_sets["reported"], variants(config)
    clusters = {query_set.name: query_set.clusters for query_set in query_sets}
    combinations: dict[str, Combination] = {
        name: partial(weighted_scores, config=names[name]) for name in ("ours", WITHOUT_PEOPLE)
    }
    scorers = VariantScorers(recommender.catalogue, combinations)
    query_scores, _ = score_movies(scorers, query_sets, [], 0.0)
    difference: dict[str, Any] = {"file": recommender.path.name, "lists": "gain by people, paired"}
    for metric, scores in query_scores["ours"].items():
        gain = scores - query_scores[WITHOUT_PEOPLE][metric]
        difference |= mean_with_interval(gain, metric, clusters[metric])
    return [*scored(recommender, scorers, {}), difference]


def scored(
    recommender: Trained, scorers: Scorers, known: Mapping[str, Mapping[str, Array]]
) -> list[dict[str, Any]]:
    """A row of metrics for each scorer."""
    catalogue, bias_rows = recommender.catalogue, coverage_queries(recommender.catalogue)
    query_sets = recommender.query_sets["reported"]
    clusters = {query_set.name: query_set.clusters for query_set in query_sets}
    query_scores, lists = score_movies(scorers, query_sets, bias_rows, 0.0)
    rows = []
    for name in scorers.names:
        row: dict[str, Any] = {"file": recommender.path.name, "lists": name}
        for metric, scores in (query_scores[name] | dict(known.get(name, {}))).items():
            row |= mean_with_interval(scores, metric, clusters.get(metric, ()))
        rows.append(row | popularity_metrics(lists[name], bias_rows, catalogue))
    return rows


def baseline_scorers(recommender: Trained, config: RankConfig) -> Scorers:
    """Our scorer and all baselines."""
    catalogue = recommender.catalogue
    texts = (catalogue.movies[name].to_pylist() for name in ("title", "overview", "keywords"))
    documents = recommender.model.documents(*texts)
    return Scorers(catalogue, config, fit_bm25(word_counts(documents, catalogue.words)))


def known_item_scores(
    recommender: Trained, config: RankConfig, baselines: Scorers
) -> dict[str, dict[str, Array]]:
    """Recall of the known items by scorer: of all, and of the reported half."""
    questions = {
        KNOWN_ITEMS: [item for half in recommender.known_items.values() for item in half],
        REPORTED_ITEMS: recommender.known_items["reported"],
    }
    by_name: dict[str, dict[str, Array]] = {name: {} for name in baselines.names}
    for metric, items in questions.items():
        for name, recalls in score_known_items(baselines, items, recommender.model, 0.0).items():
            by_name[name][metric] = recalls
        for name, variant in variants(config).items():
            scorers = Scorers(recommender.catalogue, variant)
            recalls = score_known_items(scorers, items, recommender.model, 0.0)[RECOMMENDER]
            by_name.setdefault(name, {})[metric] = recalls
    return by_name


def popularity_curve(recommender: Trained, config: RankConfig) -> list[dict[str, float]]:
    """Headline relevance and top-20 share at growing weights of votes."""
    combinations: dict[str, Combination] = {
        f"{votes:g}": partial(weighted_scores, config=config.model_copy(update={"votes": votes}))
        for votes in CURVE_VOTES
    }
    rows = scored(recommender, VariantScorers(recommender.catalogue, combinations), {})
    return [
        {"votes": float(row["lists"])} | {name: row[name] for name in ("top20_share", HEADLINE)}
        for row in rows
    ]


def draw(result: dict[str, Any]) -> None:
    """The figure of relevance against popularity bias: our curve and the baselines."""
    file = result["rows"][0]["file"]
    rows = [row for row in result["rows"] if row["file"] == file]
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    shares, relevance = (
        [row[name] for row in result["curve"]] for name in ("top20_share", HEADLINE)
    )
    axes.plot(shares, relevance, color=BLUE, marker="o", label="ours, by weight of votes")
    for row in result["curve"]:
        axes.annotate(
            f"{row['votes']:g}",
            (row["top20_share"], row[HEADLINE]),
            (4, 6),
            textcoords="offset points",
        )
    for name in BASELINES:
        (row,) = [row for row in rows if row["lists"] == name]
        axes.plot(row["top20_share"], row[HEADLINE], color=ORANGE, marker="s")
        axes.annotate(
            name, (row["top20_share"], row[HEADLINE]), (6, -4), textcoords="offset points"
        )
    axes.axvline(MAX_TOP20_SHARE, color=GREY, linestyle="--", label="limit")
    axes.set(xscale="log", ylabel="keyword nDCG@10", title=f"{file}: relevance and popularity bias")
    axes.set_xlabel("share of all places that the 20 most frequent movies take")
    axes.legend()
    figure.savefig(FIGURE, dpi=110)


def section(result: dict[str, Any]) -> str:
    """The figures as a section of `benchmarks/README.md`."""
    lines = [
        "## Lists: `python -m benchmarks.ranking FILE …`",
        "",
        "With the options `--keywords`, whose file judges the lists, and `--credits`. On the half",
        "of the queries that no weight was chosen on; 95% intervals in brackets. The share is that",
        "of all places that the 20 most frequent movies take. Known items: all, in brackets the",
        "half that no text weight was chosen on.",
        "",
        f"The walk on the choosing half ended at: {result['walk']}.",
        "",
        "![relevance and popularity](../docs/img/relevance-popularity.png)",
        "",
        "| file | lists | keyword nDCG@10 | franchise recall@10 | matched AUC | co-like nDCG@10 "
        "| known items | top-20 share | lift |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(_table_row, result["rows"])]) + "\n"


def _table_row(row: Mapping[str, Any]) -> str:
    cells = [
        f"{row[name]:.4f} ({row[f'{name}_low']:.4f} to {row[f'{name}_high']:.4f})"
        if name in row
        else "–"
        for name in METRICS
    ]
    known = f"{row[KNOWN_ITEMS]:.2f} ({row[REPORTED_ITEMS]:.2f})" if KNOWN_ITEMS in row else "–"
    bias = "– | –"
    if "top20_share" in row:
        bias = f"{row['top20_share']:.3f} | {row['popularity_lift']:+.2f}"
    return f"| {row['file']} | {row['lists']} | {' | '.join(cells)} | {known} | {bias} |"


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Files, options of training, and the folder of trained recommenders."""
    parser = argparse.ArgumentParser(description="Choose and report ranking weights")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--keywords", required=True, type=Path)
    parser.add_argument("--credits", type=Path, help="train a second time, with these people")
    parser.add_argument("--root", help="keep the trained recommenders in this folder")
    return parser.parse_args(arguments)


def train_all(arguments: argparse.Namespace, root: str) -> list[Trained]:
    """A recommender of each file, with credits also of the first file with people."""
    keywords = ["--ingest.keywords", str(arguments.keywords)]
    recommenders = [trained(path, f"{root}/{path.stem}", keywords) for path in arguments.files]
    if arguments.credits:
        path = arguments.files[0]
        options = [*keywords, "--ingest.credits", str(arguments.credits)]
        with_people = trained(path, f"{root}/{path.stem}-people", options)
        recommenders.append(with_people._replace(path=Path(f"{path.name} with people")))
    return recommenders


def main(arguments: Sequence[str]) -> None:
    """Train, choose weights, report the config's weights, save the results."""
    options = parse_arguments(arguments)
    with tempfile.TemporaryDirectory() as folder:
        recommenders = train_all(options, options.root or folder)
        config = RankConfig()
        halves = [choosing_half(item) for item in recommenders]
        walk = shown_weights(random_walk(halves, config))
        text = choose_text_weights(recommenders)
        n_files = len(options.files)
        rows = [row for item in recommenders[:n_files] for row in report(item, config)]
        rows += [row for item in recommenders[n_files:] for row in report_people(item, config)]
        curve = popularity_curve(recommenders[0], config)
    result = {"walk": f"{walk}; text {text}", "rows": rows, "curve": curve}
    draw(result)
    save_results(RESULTS, result)


if __name__ == "__main__":
    main(sys.argv[1:])
