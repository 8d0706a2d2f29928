"""Stored outputs of the stages -> figures: training, genre scores, recommendations, drift, map.

The plotting modules are imported inside the functions that draw: loading matplotlib takes a while,
and a fully cached run does not need it.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
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
from tasks.core.documents import tokens_of
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.storage import store
from tasks.data.labels import binarize
from tasks.genres.metrics import Protocol, apply_thresholds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Figures: TypeAlias = "dict[str, Figure | None]"
MAP_COLUMNS = ["title", "year", "genres", "content", "genre_vector"]


def document_lengths(chunks: Iterable[pa.Table]) -> list[int]:
    """Number of tokens of each `document`; the words of its title are among them once."""
    return [len(tokens_of(text)) for chunk in chunks for text in chunk["document"].to_pylist()]


def _draw_training(
    documents: DocumentsRef, doc2vec: Path, classifier: Path, protocol: Protocol
) -> Figures:
    """Figures of the training curves of both models, and of the length and words of the texts."""
    from tasks.reports import run_plots

    histories = {
        "classifier": pq.read_table(classifier / "history.parquet"),
        "doc2vec": pq.read_table(doc2vec / "history.parquet"),
    }
    lengths = document_lengths(store.chunks(documents, ["document"]))
    counts = pq.read_table(doc2vec / "vocabulary.parquet")["count"].to_pylist()
    return {
        "training": run_plots.training_curves(**histories, protocol=protocol),
        "texts": run_plots.text_histograms(lengths, counts),
    }


def _draw_scores(scores: Path, baseline: Path, protocol: Protocol) -> Figures:
    """Figures of the genre scores, from the test predictions that the evaluation stored."""
    from tasks.reports import plots

    test = pq.read_table(scores / "test_predictions.parquet")
    genres = pq.read_table(scores / "genres.parquet")
    classes = genres["genre"].to_pylist()
    thresholds = genres["threshold"].to_numpy().astype(np.float32)
    probabilities = np.array(test["probabilities"].to_pylist(), np.float32)
    labels = binarize(test["actual_genres"].to_pylist(), classes)
    predictions = apply_thresholds(probabilities, thresholds)
    tfidf = np.load(baseline / "tfidf.npy", allow_pickle=False)
    figures: Figures = {
        "genre_bars": plots.genre_bars(labels, predictions, tfidf, classes, protocol)
    }
    if len(classes) > 1:  # with a single genre, all test movies have it: nothing can be compared
        figures |= {
            "reliability": plots.reliability(labels, probabilities, protocol),
            "precision_recall": plots.precision_recall(labels, probabilities, classes, protocol),
            "thresholds": plots.threshold_curve(labels, probabilities, thresholds, protocol),
            "cooccurrence": plots.cooccurrence(labels, predictions, classes, protocol),
        }
    return figures


@stage_task("draw-genres")
def draw_genres(
    documents: DocumentsRef,
    doc2vec: Doc2VecRef,
    classifier: ClassifierRef,
    scores: ScoresRef,
    baseline: ScoresRef,
    protocol: Protocol,
) -> FiguresRef:
    """Figures of the texts, of the training of both models, and of the genre scores."""

    def write(writer: store.EntryWriter) -> FiguresRef:
        from tasks.reports import plots

        training = _draw_training(
            documents, store.locate(doc2vec), store.locate(classifier), protocol
        )
        plots.save_figures(training, writer.folder)
        evaluation = _draw_scores(store.locate(scores), store.locate(baseline), protocol)
        plots.save_figures(evaluation, writer.folder)
        return writer.folder_ref(FiguresRef, scores.rows)

    key = [protocol, *(ref.digest for ref in (documents, doc2vec, classifier, scores, baseline))]
    return store.get_or_create("genre-figures", key, FiguresRef, write)


def _draw_lists(evaluations: Sequence[ScoresRef], writer: store.EntryWriter) -> FiguresRef:
    from tasks.reports import plots, run_plots

    figures: dict[str, tuple[str, Callable[[pa.Table], Figure | None]]] = {
        "relevance_popularity": ("scorers", run_plots.relevance_popularity),
        "relevance_by_scorer": ("scorers", run_plots.relevance_by_scorer),
        "drift": ("drift", run_plots.drift_bars),
    }
    for figure, (table, draw) in figures.items():
        for file in (store.locate(scores) / f"{table}.parquet" for scores in evaluations):
            if file.exists():
                plots.save_figures({figure: draw(pq.read_table(file))}, writer.folder)
    return writer.folder_ref(FiguresRef)


@stage_task("draw-lists")
def draw_lists(evaluations: list[ScoresRef]) -> FiguresRef:
    """Figures of the relevance and popularity bias of the lists, and of drift of the source.

    A figure whose table is in none of the `evaluations` is left out.
    """
    return store.get_or_create(
        "list-figures",
        [*(scores.digest for scores in evaluations)],
        FiguresRef,
        lambda writer: _draw_lists(evaluations, writer),
    )


def _draw_map(rows: RowsRef, writer: store.EntryWriter) -> FiguresRef:
    from tasks.reports import movie_map, plots, run_plots

    sample = movie_map.sample_movies(store.chunks(rows, MAP_COLUMNS), rows.rows)
    with threadpool_limits(1):  # more threads would compete with the evaluation of the lists
        table = movie_map.build_map(sample)
    genres = table["genre"].to_pylist()
    positions = table.select(["x", "y"]).to_pandas().to_numpy()
    figure = run_plots.movie_map(positions, genres, movie_map.frequent_genres(genres))
    plots.save_figures({"map": figure}, writer.folder)
    pq.write_table(table, writer.folder / "map.parquet")
    return writer.folder_ref(FiguresRef, table.num_rows)


@stage_task("draw-map")
def draw_map(rows: RowsRef, compute: Compute) -> FiguresRef:
    """The map of the catalogue as an image, and the table for the report's interactive map."""
    return store.get_or_create(
        "map",
        [rows.digest],
        FiguresRef,
        lambda writer: run_stage(compute, _draw_map, rows, writer),
    )
