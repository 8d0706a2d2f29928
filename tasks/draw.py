"""What stages have written -> the run's figures: training, texts, reach of lists, drift, map."""

from collections.abc import Sequence

import pyarrow.parquet as pq
from prefect import task
from prefect.cache_policies import NO_CACHE
from threadpoolctl import threadpool_limits

from tasks import store
from tasks.compute import Compute, run_stage
from tasks.contracts import (
    ClassifierRef,
    Doc2VecRef,
    DocumentsRef,
    FiguresRef,
    RowsRef,
    ScoresRef,
)

VERSION = 2
MAPPED = ["title", "year", "genres", "content", "genre_vector"]


def _draw_training(
    documents: DocumentsRef,
    doc2vec: Doc2VecRef,
    classifier: ClassifierRef,
    protocol: str,
    slot: store.Slot,
) -> FiguresRef:
    from tasks import plots, plots_run

    passes, moves = (
        pq.read_table(store.locate(of) / "history.parquet") for of in (classifier, doc2vec)
    )
    texts = store.chunks(documents, ["document"])
    lengths = [len(text.split()) for part in texts for text in part["document"].to_pylist()]
    counts = pq.read_table(store.locate(doc2vec) / "vocabulary.parquet")["count"].to_pylist()
    figures = {
        "training": plots_run.training_curves(passes, moves, protocol),
        "texts": plots_run.text_histograms(lengths, counts),
    }
    plots.save(figures, slot.folder)
    return slot.whole(FiguresRef)


@task(name="draw-training", cache_policy=NO_CACHE)
def draw_training(
    documents: DocumentsRef, doc2vec: Doc2VecRef, classifier: ClassifierRef, protocol: str
) -> FiguresRef:
    """Figures of how both trainings went, and of the texts that they read."""
    given = (documents, doc2vec, classifier)
    return store.entry(
        "training-figures",
        [VERSION, protocol, *(of.digest for of in given)],
        FiguresRef,
        lambda slot: _draw_training(*given, protocol, slot),
    )


def _draw_lists(found: Sequence[ScoresRef], slot: store.Slot) -> FiguresRef:
    from tasks import plots, plots_run

    drawn = {"recall_by_k": plots_run.recall_by_k, "drift": plots_run.drift_bars}
    for name, draw in drawn.items():
        for file in (store.locate(ref) / f"{name}.parquet" for ref in found):
            plots.save({name: draw(pq.read_table(file)) if file.exists() else None}, slot.folder)
    return slot.whole(FiguresRef)


@task(name="draw-lists", cache_policy=NO_CACHE)
def draw_lists(found: list[ScoresRef]) -> FiguresRef:
    """Figures of how far lists reach and, where there was a champion, of the source's drift."""
    key = [VERSION, *(of.digest for of in found)]
    return store.entry("list-figures", key, FiguresRef, lambda slot: _draw_lists(found, slot))


def _draw_map(rows: RowsRef, slot: store.Slot) -> FiguresRef:
    from tasks import movie_map, plots, plots_run

    with threadpool_limits(1):  # more would only wait for those that evaluate the lists
        table = movie_map.map_of(movie_map.sampled(store.chunks(rows, MAPPED), rows.rows))
    genres = table["genre"].to_pylist()
    positions = table.select(["x", "y"]).to_pandas().to_numpy()
    still = plots_run.movie_map(positions, genres, movie_map.frequent(genres))
    plots.save({"map": still}, slot.folder)
    pq.write_table(table, slot.folder / "map.parquet")
    return slot.whole(FiguresRef, table.num_rows)


@task(name="draw-map", cache_policy=NO_CACHE)
def draw_map(rows: RowsRef, compute: Compute) -> FiguresRef:
    """The map of the catalogue, still, and what the report's interactive one is drawn from."""
    key = [VERSION, rows.digest]
    return store.entry(
        "map", key, FiguresRef, lambda slot: run_stage(compute, _draw_map, rows, slot)
    )
