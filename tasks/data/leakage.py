"""Documents -> error if scores on them would not be held-out scores."""

import pyarrow as pa
import pyarrow.compute as pc

from tasks.core.compute import Compute, run_stage
from tasks.core.contracts import MOVIES, DocumentsRef
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.storage import store
from tasks.data.preprocess import TextConfig, build_documents
from tasks.data.splits import KEY_COLUMNS, keys_in_several_splits, movie_keys


def genre_dependent_ids(documents: pa.Table, config: TextConfig) -> list[str]:
    """Ids of movies whose document would differ if they had no genres."""
    column = documents.column_names.index("genres")
    empty_lists = pa.array([[]] * documents.num_rows, documents.schema.field("genres").type)
    movies = documents.set_column(column, "genres", empty_lists).select(MOVIES.names)
    texts = documents["document"].to_pylist()
    texts_without_genres = build_documents(movies, config)
    rows = zip(documents["id"].to_pylist(), texts, texts_without_genres, strict=True)
    return [movie_id for movie_id, text, text_without in rows if text != text_without]


def require_held_out(documents: DocumentsRef, config: TextConfig) -> None:
    """Raise ValueError if test scores on these documents would not be held-out scores."""
    movies = store.read(documents, [*KEY_COLUMNS, "split"])
    if shared := keys_in_several_splits(movie_keys(movies), movies["split"].to_pylist()):
        raise ValueError(f"{shared} films, by title and year or overview, are in several splits.")
    if config.recipe == "blog":
        return
    for chunk in store.chunks(documents):
        held_out = chunk.filter(pc.is_in(chunk["split"], pa.array(["test", "gate"])))
        if ids := genre_dependent_ids(held_out, config):
            raise ValueError(f"The documents of movie {ids[0]} and others contain their genres.")


@stage_task("check-documents")
def check_documents(documents: DocumentsRef, config: TextConfig, compute: Compute) -> None:
    """Check for leakage: films in several splits, and genres in documents of held-out movies.

    Documents of the recipe `blog` contain genres on purpose; its metrics have another prefix.

    Raises:
        ValueError: test scores of this run would not be held-out scores.
    """
    run_stage(compute, require_held_out, documents, config)
