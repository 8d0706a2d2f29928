"""What stages have stored -> the run's figures: scores, training, texts, lists, drift, map."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from prefect import task
from prefect.cache_policies import NO_CACHE
from threadpoolctl import threadpool_limits

from tasks.core.compute import Compute, run_stage
from tasks.core.contracts import (
    ClassifierRef,
    Doc2VecRef,
    DocumentsRef,
    FiguresRef,
    RowsRef,
    ScoresRef,
)
from tasks.core.storage import store
from tasks.data.labels import binarize
from tasks.genres.metrics import Protocol, apply_thresholds
from tasks.recommend.scoring import RankConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VERSION = 3
MAPPED = ["title", "year", "genres", "content", "genre_vector"]


def _draw_training(
    documents: DocumentsRef,
    doc2vec: Doc2VecRef,
    classifier: ClassifierRef,
    protocol: str,
    writer: store.EntryWriter,
) -> FiguresRef:
    from tasks.reports import plots, run_plots

    passes, moves = (
        pq.read_table(store.locate(of) / "history.parquet") for of in (classifier, doc2vec)
    )
    texts = store.chunks(documents, ["document"])
    lengths = [len(text.split()) for part in texts for text in part["document"].to_pylist()]
    counts = pq.read_table(store.locate(doc2vec) / "vocabulary.parquet")["count"].to_pylist()
    figures = {
        "training": run_plots.training_curves(passes, moves, protocol),
        "texts": run_plots.text_histograms(lengths, counts),
    }
    plots.save(figures, writer.folder)
    return writer.folder_ref(FiguresRef)


@task(name="draw-training", cache_policy=NO_CACHE)
def draw_training(
    documents: DocumentsRef, doc2vec: Doc2VecRef, classifier: ClassifierRef, protocol: str
) -> FiguresRef:
    """Figures of how both trainings went, and of the texts that they read."""
    given = (documents, doc2vec, classifier)
    return store.get_or_create(
        "training-figures",
        [VERSION, protocol, *(of.digest for of in given)],
        FiguresRef,
        lambda writer: _draw_training(*given, protocol, writer),
    )


def _draw_scores(
    scores: ScoresRef, baseline: ScoresRef, protocol: Protocol, writer: store.EntryWriter
) -> FiguresRef:
    from tasks.reports import plots

    folder = store.locate(scores)
    test = pq.read_table(folder / "test_predictions.parquet")
    genres = pq.read_table(folder / "genres.parquet")
    classes = genres["genre"].to_pylist()
    thresholds = genres["threshold"].to_numpy().astype(np.float32)
    probabilities = np.array(test["probabilities"].to_pylist(), np.float32)
    actual = binarize(test["actual_genres"].to_pylist(), classes)
    predictions = apply_thresholds(probabilities, thresholds)
    tfidf = np.load(store.locate(baseline) / "tfidf.npy", allow_pickle=False)
    figures = {"genre_bars": plots.genre_bars(actual, predictions, tfidf, classes, protocol)}
    if len(classes) > 1:  # with one genre every test movie carries it: there is nothing to show
        figures |= {
            "reliability": plots.reliability(actual, probabilities, protocol),
            "precision_recall": plots.precision_recall(actual, probabilities, classes, protocol),
            "thresholds": plots.threshold_curve(actual, probabilities, thresholds, protocol),
            "cooccurrence": plots.cooccurrence(actual, predictions, classes, protocol),
        }
    plots.save(figures, writer.folder)
    return writer.folder_ref(FiguresRef, test.num_rows)


@task(name="draw-scores", cache_policy=NO_CACHE)
def draw_scores(scores: ScoresRef, baseline: ScoresRef, protocol: Protocol) -> FiguresRef:
    """Figures of the genre scores, drawn from the predictions that an evaluation stored."""
    return store.get_or_create(
        "score-figures",
        [VERSION, protocol, scores.digest, baseline.digest],
        FiguresRef,
        lambda writer: _draw_scores(scores, baseline, protocol, writer),
    )


def _draw_lists(
    evaluations: Sequence[ScoresRef], votes: float, writer: store.EntryWriter
) -> FiguresRef:
    from tasks.reports import plots, run_plots

    draw_by_table: dict[str, Callable[[pa.Table], Figure | None]] = {
        "recall_by_k": run_plots.recall_by_k,
        "drift": run_plots.drift_bars,
        "votes_curve": lambda curve: plots.votes_curve(curve, votes),
    }
    for name, draw in draw_by_table.items():
        for file in (store.locate(ref) / f"{name}.parquet" for ref in evaluations):
            plots.save({name: draw(pq.read_table(file)) if file.exists() else None}, writer.folder)
    return writer.folder_ref(FiguresRef)


@task(name="draw-lists", cache_policy=NO_CACHE)
def draw_lists(evaluations: list[ScoresRef], config: RankConfig) -> FiguresRef:
    """Figures of recall by list length and by weight of votes and, where there was a champion, of
    the source's drift."""
    key = [VERSION, config.votes, *(ref.digest for ref in evaluations)]
    return store.get_or_create(
        "list-figures",
        key,
        FiguresRef,
        lambda writer: _draw_lists(evaluations, config.votes, writer),
    )


def _draw_map(rows: RowsRef, writer: store.EntryWriter) -> FiguresRef:
    from tasks.reports import movie_map, plots, run_plots

    with threadpool_limits(1):  # more would only wait for those that evaluate the lists
        table = movie_map.build_map(movie_map.sample_movies(store.chunks(rows, MAPPED), rows.rows))
    genres = table["genre"].to_pylist()
    positions = table.select(["x", "y"]).to_pandas().to_numpy()
    still = run_plots.movie_map(positions, genres, movie_map.frequent_genres(genres))
    plots.save({"map": still}, writer.folder)
    pq.write_table(table, writer.folder / "map.parquet")
    return writer.folder_ref(FiguresRef, table.num_rows)


@task(name="draw-map", cache_policy=NO_CACHE)
def draw_map(rows: RowsRef, compute: Compute) -> FiguresRef:
    """The map of the catalogue, still, and what the report's interactive one is drawn from."""
    key = [VERSION, rows.digest]
    return store.get_or_create(
        "map", key, FiguresRef, lambda writer: run_stage(compute, _draw_map, rows, writer)
    )
