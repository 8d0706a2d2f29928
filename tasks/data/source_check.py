"""A source -> refused before anything starts, where nothing could be trained on it."""

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from tasks.core.contracts import UserError
from tasks.core.retry import io_task
from tasks.data.ingest import IngestConfig, IngestState, open_sources, read_chunks
from tasks.data.labels import LabelConfig, require_genres
from tasks.data.preprocess import TextConfig, assign_split
from tasks.data.row_counts import RowCounts

CHUNK_ROWS = 200
MIN_LABELLED_MOVIES = {"train": 2, "validation": 1, "test": 1}  # movies with a genre to learn


class SplitGenres:
    """Genres of the movies of each split, as far as a source has been read."""

    def __init__(self, text: TextConfig, min_support: int) -> None:
        self.text, self.min_support = text, min_support
        self.genres: dict[str, list[frozenset[str]]] = {name: [] for name in MIN_LABELLED_MOVIES}
        self.support: Counter[str] = Counter()
        self.texts: set[str] = set()

    def add(self, movies: pa.Table) -> None:
        """Count a chunk of movies (`MOVIES`)."""
        shares = self.text.validation_share, self.text.test_share
        columns = (movies[name].to_pylist() for name in ("overview", "genres"))
        for overview, genres in zip(*columns, strict=True):
            split, carried = assign_split(overview, *shares), frozenset(genres)
            self.genres[split].append(carried)
            self.texts.add(overview)
            if split == "train":
                self.support.update(carried)

    @property
    def learnable(self) -> list[str]:
        """Genres that enough movies of the train split carry."""
        return [name for name, count in self.support.items() if count >= self.min_support]

    def usable(self) -> dict[str, int]:
        """Movies of each split that carry a learnable genre."""
        names = set(self.learnable)
        return {
            split: sum(not names.isdisjoint(carried) for carried in movies)
            for split, movies in self.genres.items()
        }

    def enough(self) -> bool:
        """Whether every split has what training and evaluation need."""
        return all(count >= MIN_LABELLED_MOVIES[split] for split, count in self.usable().items())


def require_trainable(
    sources: Sequence[str], config: IngestConfig, text: TextConfig, labels: LabelConfig
) -> str:
    """Read no more of the sources than it takes to see that they can be trained on; their names.

    Raises:
        UserError: a source cannot be read, or there are too few different movies with genres.
    """
    opened = open_sources(sources, config)
    names = " + ".join(file.name for _, files in opened for file in files)
    tally, splits = RowCounts(), SplitGenres(text, labels.min_support)
    for named, files in opened:
        catalogue = IngestState(named.name, set(), {})
        for chunk in (part for file in files for part in read_chunks(file, CHUNK_ROWS, catalogue)):
            tally.add(chunk)
            splits.add(chunk.movies)
            if splits.enough():
                return names
    tally.require_usable(names, config.max_quarantined_share)
    try:
        require_genres(splits.learnable, labels.min_support)
    except UserError as error:
        raise UserError(f"{names}: {error}") from None
    counts, needed = (
        ", ".join(f"{split} {count}" for split, count in each.items())
        for each in (splits.usable(), MIN_LABELLED_MOVIES)
    )
    raise UserError(
        f"{names}: too few different movies to train on: {tally.kept} usable movies with "
        f"{len(splits.texts)} different overviews give the splits {counts} with a genre to learn "
        f"(needed: {needed}). Give more movies: 60 with different overviews are usually enough."
    )


@io_task("check-source")
def check_source(
    sources: list[str], config: IngestConfig, text: TextConfig, labels: LabelConfig
) -> None:
    """Refuse a source that cannot be trained on, before a run is opened for it."""
    require_trainable(sources, config, text, labels)
