"""Challenger and an earlier version, evaluated on the same movies and queries -> comparisons.

The movies are those of the gate's split: nothing is fitted on them, and no score is reported on
them. The queries are those of the choosing half, on which ranking weights may be chosen, in a
catalogue without the test movies. The earlier models compute the index rows of the challenger's
catalogue again, so that both models rank the same movies for the same queries. The confidence
intervals are those of paired differences: what is difficult for both models adds no noise.

The earlier version is the champion, and where another one was better by a metric, that one too.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel

from tasks.core.compute import Compute, run_in_fresh_process
from tasks.core.contracts import DocumentsRef, KnownItemsRef, RatingsRef, ScoresRef
from tasks.core.orchestration.artifact_tables import LIST_LENGTH, list_columns, show_table
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.storage import store
from tasks.data.labels import binarize
from tasks.data.preprocess import TextConfig
from tasks.data.splits import films_of, hash_overviews, is_fitted_on, movie_keys
from tasks.genres.metrics import Labels, bootstrap_f1, macro_f1, micro_f1
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import RECOMMENDER
from tasks.recommend.evaluation.list_evaluation import GATE_QUERIES, Judgements, score_for_gate
from tasks.recommend.evaluation.list_metrics import RELEVANCE_METRICS
from tasks.recommend.evaluation.ranking_metrics import bootstrap_means, query_values
from tasks.recommend.evaluation.sample_lists import sample_lists
from tasks.recommend.model_folders import ModelFolders
from tasks.recommend.scoring import Array
from tasks.recommend.text_model import TextModel
from tasks.registry.champion import Champion
from tasks.registry.champion_check import CheckedVersion
from tasks.registry.gate import GENRE_METRIC, METRIC_LABELS, Comparison, paired_comparison

COMPARED = pa.schema(
    [("score", pa.string()), ("opponent", pa.string()), ("is_best", pa.bool_())]
    + [(name, pa.float64()) for name in ("champion", "challenger", "difference")]
    + [(name, pa.float64()) for name in ("low", "high", "error")]
    + [("observations", pa.int64())]
)
LISTS_BESIDE = pa.schema(
    [("film", pa.string())] + [(name, pa.list_(pa.string())) for name in ("challenger", "champion")]
)


class Opponent(BaseModel, frozen=True):
    """A version that the challenger is compared with, by some metrics.

    `folders` are its model folders, `fitted_keys` is the file of the films that they were fitted
    on; `is_best`: it is not the champion, but the best version kept by these metrics.
    """

    champion: Champion
    folders: ModelFolders
    fitted_keys: Path | None = None
    metrics: tuple[str, ...] = tuple(METRIC_LABELS)
    is_best: bool = False


def to_opponent(checked: CheckedVersion) -> Opponent | None:
    """An intact champion as opponent; None if it is damaged, or if there is none."""
    if checked.champion is None or checked.folders is None:
        return None
    return Opponent(
        champion=checked.champion, folders=checked.folders, fitted_keys=checked.fitted_keys
    )


def best_opponents(champion: Champion, best: Sequence[CheckedVersion]) -> list[Opponent]:
    """The best versions kept as opponents, each by the metrics in which the champion is not it."""
    return [
        opponent.model_copy(update={"metrics": _best_in(champion, checked), "is_best": True})
        for checked in best
        if (opponent := to_opponent(checked))
    ]


def _best_in(champion: Champion, best: CheckedVersion) -> tuple[str, ...]:
    return tuple(metric for metric, number in champion.best.items() if number == best.version)


class PairedPredictions(NamedTuple):
    """True genres and the predictions of both models for the same movies.

    Each is an indicator matrix (n_movies, n_genres); `films` (n_movies,) numbers their films.
    """

    y_true: Labels
    champion: Labels
    challenger: Labels
    films: NDArray[np.int32]


def compare_genres(predictions: PairedPredictions) -> list[Comparison]:
    """Micro and macro F1 of both models on the same movies."""
    y_true, champion, challenger, films = predictions
    champion_samples = bootstrap_f1(y_true, champion, films)
    challenger_samples = bootstrap_f1(y_true, challenger, films)
    return [
        paired_comparison(
            metric=f"f1_{average}",
            scores=(f1(y_true, champion), f1(y_true, challenger)),
            differences=challenger_samples[average] - champion_samples[average],
            observations=len(np.unique(films)),
        )
        for average, f1 in (("micro", micro_f1), ("macro", macro_f1))
    ]


def compare_lists(
    metric: str, champion: Array, challenger: Array, clusters: Sequence[int] = ()
) -> Comparison:
    """Mean of a ranking metric over the same queries; both arrays as in `bootstrap_means`."""
    return paired_comparison(
        metric=metric,
        scores=(float(query_values(champion).mean()), float(query_values(challenger).mean())),
        differences=bootstrap_means(challenger - champion, clusters),
        observations=len(set(clusters)) or len(champion),
    )


def movies_to_compare(
    documents: pa.Table, champion: TextConfig, fitted_keys: NDArray[np.uint64] | None
) -> pa.Table:
    """Movies of the gate's split on whose films the champion was not fitted.

    `fitted_keys` are those of the champion's training; early releases stored none. The split of
    their movies followed from the overview, by the shares of `champion`; it had no gate, so that a
    movie of their validation split counts as not fitted.
    """
    if fitted_keys is None:
        positions = hash_overviews(documents["overview"].to_pylist()).positions
        is_fitted = positions >= champion.test_share + champion.validation_share
    else:
        is_fitted = is_fitted_on(movie_keys(documents), fitted_keys)
    is_gate = np.array(documents["split"].to_pylist()) == "gate"
    return documents.filter(pa.array(is_gate & ~is_fitted))


def predict_both(movies: pa.Table, champion: TextModel, challenger: TextModel) -> PairedPredictions:
    """Predictions of both models for movies with at least one genre that one of them predicts."""
    classes = sorted({*champion.classes, *challenger.classes})
    y_true = binarize(movies["genres"].to_pylist(), classes)
    labelled = y_true.any(axis=1)
    return PairedPredictions(
        y_true=y_true[labelled],
        champion=_predicted_labels(champion, movies, classes)[labelled],
        challenger=_predicted_labels(challenger, movies, classes)[labelled],
        films=films_of(movie_keys(movies))[labelled],
    )


def _predicted_labels(model: TextModel, movies: pa.Table, classes: Sequence[str]) -> Labels:
    texts = (movies[name].to_pylist() for name in ("title", "overview", "keywords"))
    return binarize([prediction.genres for prediction in model.predict_genres(*texts)], classes)


def join_lists(challenger: pa.Table, champion: pa.Table) -> pa.Table:
    """Sample lists of both models by film; null where the champion's catalogue lacks the film."""
    champion_lists = dict(zip(*(column.to_pylist() for column in champion.columns), strict=True))
    films = challenger["film"].to_pylist()
    return pa.table(
        {
            "film": films,
            "challenger": challenger["movies like it"].to_pylist(),
            "champion": [champion_lists.get(film) for film in films],
        },
        LISTS_BESIDE,
    )


def _compare_recommendations(
    documents: DocumentsRef,
    champion: Champion,
    model: TextModel,
    judgements: Judgements,
    lists: ScoresRef,
    writer: store.EntryWriter,
) -> list[Comparison]:
    """Evaluate the champion's lists, write sample lists of both, compare the ranking metrics.

    A champion with keywords as a feature is not compared by keywords.
    """
    rows = pa.concat_tables([model.to_index_rows(chunk) for chunk in store.chunks(documents)])
    splits = store.read(documents, ["split"])["split"]
    scored = score_for_gate(rows, splits, champion.rank, model, judgements)
    catalogue = Catalogue(rows)
    del rows  # the catalogue has what is needed of them
    folder = store.locate(lists)
    challenger_lists = pq.read_table(folder / "sample_lists.parquet")
    sample = join_lists(challenger_lists, sample_lists(catalogue, champion.rank))
    pq.write_table(sample, writer.folder / "lists_beside.parquet")
    champion_scores = scored.query_scores[RECOMMENDER]
    with np.load(folder / GATE_QUERIES, allow_pickle=False) as challenger_scores:
        return [
            compare_lists(metric, champion_scores[metric], scores, scored.clusters.get(metric, ()))
            for metric, scores in challenger_scores.items()
            if metric in champion_scores
        ]


def _challenge(
    writer: store.EntryWriter,
    documents: DocumentsRef,
    challenger: ModelFolders,
    lists: ScoresRef,
    ratings: RatingsRef | None,
    known_items: KnownItemsRef | None,
    opponent: Opponent,
) -> ScoresRef:
    model, comparisons, n_movies = TextModel(opponent.folders), list[Comparison](), 0
    if GENRE_METRIC in opponent.metrics:
        movies = _movies_to_compare(documents, model.text, opponent.fitted_keys)
        predictions = predict_both(movies, model, TextModel(challenger))
        n_movies = len(predictions.y_true)
        comparisons += compare_genres(predictions) if n_movies else []
    if set(opponent.metrics) & set(RELEVANCE_METRICS):
        comparisons += _compare_recommendations(
            documents=documents,
            champion=opponent.champion,
            model=model,
            judgements=Judgements(ratings, known_items),
            lists=lists,
            writer=writer,
        )
    whose = {"opponent": opponent.champion.version, "is_best": opponent.is_best}
    rows = [row.model_copy(update=whose) for row in comparisons if row.score in opponent.metrics]
    _write_comparisons(rows, writer.folder)
    return writer.folder_ref(ScoresRef, n_movies)


def _movies_to_compare(
    documents: DocumentsRef, champion: TextConfig, keys: Path | None
) -> pa.Table:
    columns = ["title", "year", "overview", "genres", "keywords", "split"]
    fitted_keys = np.load(keys, allow_pickle=False) if keys else None
    return movies_to_compare(store.read(documents, columns), champion, fitted_keys)


def _write_comparisons(comparisons: Sequence[Comparison], folder: Path) -> None:
    table = pa.Table.from_pylist([row.model_dump() for row in comparisons], schema=COMPARED)
    pq.write_table(table, folder / "gate.parquet")
    metrics: dict[str, float] = {}
    for row in comparisons:
        name = f"gate_{row.score}"
        metrics |= {name: row.challenger, f"{name}_champion": row.champion}
        metrics[f"{name}_difference"] = row.difference
    store.write_json(folder / "metrics.json", metrics)


@stage_task("challenge")
def challenge(
    documents: DocumentsRef,
    challenger: ModelFolders,
    lists: ScoresRef,
    ratings: RatingsRef | None,
    known_items: KnownItemsRef | None,
    opponent: Opponent,
    compute: Compute,
) -> ScoresRef:
    """Evaluate both models on the movies and queries of the gate, and compare their metrics.

    `lists` is the evaluation of the challenger's lists.
    """

    def write(writer: store.EntryWriter) -> ScoresRef:
        return run_in_fresh_process(
            compute,
            _challenge,
            writer,  # positional: a worker on another machine looks for it there
            documents=documents,
            challenger=challenger,
            lists=lists,
            ratings=ratings,
            known_items=known_items,
            opponent=opponent,
        )

    references = [reference.digest if reference else None for reference in (ratings, known_items)]
    references.append(store.file_digest(opponent.fitted_keys) if opponent.fitted_keys else None)
    key = [documents.digest, lists.digest, references, challenger, opponent]
    ref = store.get_or_create("challenge", key, ScoresRef, write)
    if not opponent.is_best:
        _show_lists(store.locate(ref))
    return ref


def _show_lists(folder: Path) -> None:
    """Show the lists of both versions for well-known films in Prefect, one below the other."""
    rows = pq.read_table(folder / "lists_beside.parquet").to_pylist()
    show_table(
        [
            {"film": row["film"], "version": name, **list_columns(row[column])}
            for row in rows
            for name, column in (("this run", "challenger"), ("champion", "champion"))
        ],
        key="sample-lists",
        description=f"The first {LIST_LENGTH} movies that this run and the champion recommend for "
        "each well-known film of the catalogue.",
    )


@stage_task("join-comparisons")
def join_comparisons(with_champion: ScoresRef, with_best: Sequence[ScoresRef]) -> ScoresRef:
    """The comparison with the champion, and the rows of those with the best versions kept."""
    references = [with_champion, *with_best]

    def write(writer: store.EntryWriter) -> ScoresRef:
        shutil.copytree(store.locate(with_champion), writer.folder, dirs_exist_ok=True)
        tables = [pq.read_table(store.locate(ref) / "gate.parquet") for ref in references]
        pq.write_table(pa.concat_tables(tables), writer.folder / "gate.parquet")
        return writer.folder_ref(ScoresRef, with_champion.rows)

    key = [reference.digest for reference in references]
    return store.get_or_create("comparisons", key, ScoresRef, write)
