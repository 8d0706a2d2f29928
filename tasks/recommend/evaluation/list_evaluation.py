"""Index rows -> metrics and tables of the recommendation lists, next to those of baselines.

All movies of the catalogue are candidates.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from prefect import get_run_logger

from tasks.core.compute import Compute, run_in_fresh_process
from tasks.core.contracts import (
    ClassifierRef,
    Doc2VecRef,
    DocumentsRef,
    KnownItemsRef,
    RatingsRef,
    RowsRef,
    ScoresRef,
    TransformerRef,
)
from tasks.core.orchestration.artifact_tables import LIST_LENGTH, list_columns, show_table
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.storage import store
from tasks.data.companions.reference_files import read_known_items, require_same_file
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import (
    RECOMMENDER,
    Scorers,
    fit_bm25,
    word_counts,
)
from tasks.recommend.evaluation.behaviour import behaviour_metrics, behaviour_table
from tasks.recommend.evaluation.behaviour_cases import CheckedLists
from tasks.recommend.evaluation.list_metrics import (
    RELEVANCE_METRICS,
    list_metrics,
    scorer_table,
)
from tasks.recommend.evaluation.query_sets import (
    build_query_sets,
    cluster_numbers,
    coverage_queries,
    query_halves,
)
from tasks.recommend.evaluation.ranking_metrics import Lists
from tasks.recommend.evaluation.relevance import Half
from tasks.recommend.evaluation.relevance_scores import (
    KNOWN_ITEMS,
    KnownItem,
    QueryScores,
    known_item_rows,
    score_known_items,
    score_movies,
)
from tasks.recommend.evaluation.sample_lists import sample_lists
from tasks.recommend.model_folders import ModelFolders
from tasks.recommend.scoring import RankConfig
from tasks.recommend.text_model import TextModel

#: Scores of the recommender on the half that versions are chosen on, for the promotion gate.
GATE_QUERIES = "gate_queries.npz"
#: Columns of the index rows that the evaluation needs: all but the texts.
COLUMNS = ["source", "id", "title", "year", "genres", "keywords", "language", "collection"]
COLUMNS += [
    "votes",
    "title_key",
    "overview_key",
    "content",
    "hidden",
    "genre_vector",
    "genre_affinity",
]
COLUMNS += [
    column
    for name in ("words", "title_words", "people_terms", "keyword_terms")
    for column in (name, f"{name}_weights")
]


class Judgements(NamedTuple):
    """Files beside the source that judge its lists."""

    ratings: RatingsRef | None
    known_items: KnownItemsRef | None


def _evaluate(
    writer: store.EntryWriter,
    rows: RowsRef,
    documents: DocumentsRef,
    folders: ModelFolders,
    ratings: RatingsRef | None,
    known_items: KnownItemsRef | None,
    config: RankConfig,
) -> ScoresRef:
    table, model = store.read(rows, COLUMNS), TextModel(folders)
    catalogue = Catalogue(table)
    judgements = Judgements(ratings, known_items)
    texts = store.read(documents, ["document", "overview", "collection", "split"])
    counts = word_counts(texts["document"].to_pylist(), catalogue.words)
    scorers = Scorers(catalogue, config, fit_bm25(counts))
    queries = coverage_queries(catalogue)
    scored = score_half(scorers, table, model, judgements, "reported", queries)
    metrics = list_metrics(
        query_scores=scored.query_scores,
        clusters=scored.clusters,
        lists=scored.lists,
        queries=queries,
        catalogue=catalogue,
    )
    known_lists = dict(zip(queries, scored.lists[RECOMMENDER].tolist(), strict=True))
    behaviours = behaviour_table(CheckedLists(catalogue, config, model, texts, known_lists))
    tables = {
        "behaviour": behaviours,
        "scorers": scorer_table(metrics, scorers.names),
        "sample_lists": sample_lists(catalogue, config),
    }
    for_gate = score_for_gate(table, texts["split"], config, model, judgements)
    _write(metrics | behaviour_metrics(behaviours), for_gate, tables, writer)
    return writer.folder_ref(ScoresRef, len(catalogue))


class HalfScores(NamedTuple):
    """Scores of the queries of one half, the clusters of the queries by set, and lists."""

    query_scores: QueryScores
    clusters: dict[str, tuple[int, ...]]
    lists: dict[str, Lists]


def score_half(
    scorers: Scorers,
    rows: pa.Table,
    model: TextModel,
    judgements: Judgements,
    half: Half,
    listed_rows: Sequence[int] = (),
) -> HalfScores:
    """Scores by all judgements of one half, and the lists of `listed_rows`.

    Raises:
        UserError: the ratings or known items cannot be read, or changed during the run.
    """
    query_sets = build_query_sets(rows, judgements.ratings, model.text.keywords, half)
    diversity = scorers.configs[RECOMMENDER].diversity
    query_scores, lists = score_movies(scorers, query_sets, listed_rows, diversity)
    clusters = {query_set.name: query_set.clusters for query_set in query_sets}
    if items := known_items_of(rows, scorers.catalogue, judgements.known_items, half):
        numbers = cluster_numbers(rows)
        clusters[KNOWN_ITEMS] = tuple(numbers[item.row] for item in items)
        for name, scores in score_known_items(scorers, items, model, diversity).items():
            query_scores[name][KNOWN_ITEMS] = scores
    return HalfScores(query_scores, clusters, lists)


def score_for_gate(
    rows: pa.Table,
    splits: pa.ChunkedArray,
    config: RankConfig,
    model: TextModel,
    judgements: Judgements,
) -> HalfScores:
    """Scores on the choosing half of a catalogue without test movies, `splits` in row order.

    The genres of a test movie are a feature of its ranking: they must not decide a promotion.
    """
    known = rows.filter(pc.not_equal(splits, "test"))
    return score_half(Scorers(Catalogue(known), config), known, model, judgements, "choosing")


def known_items_of(
    rows: pa.Table, catalogue: Catalogue, known_items: KnownItemsRef | None, half: Half
) -> list[KnownItem]:
    """The free-text questions about movies of one half of the catalogue.

    Raises:
        UserError: the file cannot be read, or changed since its digest was computed.
    """
    if known_items is None:
        return []
    items = read_known_items(known_items.file)
    require_same_file(known_items)
    pairs = [(item.id, item.query) for item in items]
    halves = query_halves(rows)
    judged_items = known_item_rows(catalogue.positions, known_items.source, pairs)
    return [item for item in judged_items if halves[item.row] == half]


def _write(
    metrics: dict[str, float],
    for_gate: HalfScores,
    tables: dict[str, pa.Table],
    writer: store.EntryWriter,
) -> None:
    store.write_json(writer.folder / "metrics.json", metrics)
    scores = for_gate.query_scores[RECOMMENDER]
    np.savez(writer.folder / GATE_QUERIES, allow_pickle=False, **scores)
    for name, content in tables.items():
        pq.write_table(content, writer.folder / f"{name}.parquet")


@stage_task("evaluate-lists")
def evaluate_lists(
    rows: RowsRef,
    documents: DocumentsRef,
    doc2vec: Doc2VecRef,
    classifier: ClassifierRef,
    lexicon: TransformerRef,
    ratings: RatingsRef | None,
    known_items: KnownItemsRef | None,
    config: RankConfig,
    compute: Compute,
) -> ScoresRef:
    """Score the lists by every judgement that the source has, with popularity bias beside it."""
    models = (doc2vec, classifier, lexicon)
    references = [
        [reference.source, reference.digest] if reference else None
        for reference in (ratings, known_items)
    ]

    def evaluate(writer: store.EntryWriter) -> ScoresRef:
        return run_in_fresh_process(
            compute,
            _evaluate,
            writer,  # positional: a worker on another machine looks for it there
            rows=rows,
            documents=documents,
            folders=ModelFolders.of(*map(store.locate, models)),
            ratings=ratings,
            known_items=known_items,
            config=config,
        )

    digests = [ref.digest for ref in (rows, documents, *models)]
    key = [config, digests, references]
    scores = store.get_or_create("lists", key, ScoresRef, evaluate)
    _log_scores(scores)
    _show_lists(store.locate(scores))
    return scores


def _show_lists(folder: Path) -> None:
    """Show the lists of well-known films in Prefect."""
    rows = pq.read_table(folder / "sample_lists.parquet").to_pylist()
    show_table(
        [{"film": row["film"], **list_columns(row["movies like it"])} for row in rows],
        key="sample-lists",
        description=f"The first {LIST_LENGTH} movies that this run recommends for each "
        "well-known film of the catalogue.",
    )


def _log_scores(scores: ScoresRef) -> None:
    metrics = store.read_json(store.locate(scores) / "metrics.json")
    names = [f"rec_{name}" for name in RELEVANCE_METRICS if f"rec_{name}" in metrics]
    relevance = ", ".join(f"{name} {metrics[name]:.3f}" for name in names)
    get_run_logger().info(
        "%s, the 20 most frequent movies take %.1f%% of all places",
        relevance or "the source has nothing to judge lists by",
        100 * metrics["rec_top20_share"],
    )
