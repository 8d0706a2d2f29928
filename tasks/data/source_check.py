"""Sources -> error before a run starts if they have too few movies for training."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from tasks.core.contracts import UserError
from tasks.core.orchestration.retry import io_task
from tasks.data.companions.joined_files import open_joined_files
from tasks.data.ingest import IngestConfig, OpenedSource, open_sources, read_files
from tasks.data.labels import LabelConfig, require_genres
from tasks.data.preprocess import TextConfig
from tasks.data.row_counts import ChunkResult, RowCounts
from tasks.data.sources import source_label
from tasks.data.splits import split_of_overview
from tasks.data.validation import IngestState

CHUNK_ROWS = 200
#: Movies with a learnable genre. Without any in the gate's split, a promotion needs an approval.
MIN_LABELLED_MOVIES = {"train": 2, "validation": 1, "gate": 0, "test": 1}


class SplitGenres:
    """Genres of the movies of each split, for the rows read so far."""

    def __init__(self, text: TextConfig, min_support: int) -> None:
        self.text, self.min_support = text, min_support
        self.genres: dict[str, list[frozenset[str]]] = {name: [] for name in MIN_LABELLED_MOVIES}
        self.support: Counter[str] = Counter()
        self.overviews: set[str] = set()

    def add(self, movies: pa.Table) -> None:
        """Add a chunk of movies (`MOVIES`)."""
        columns = (movies[name].to_pylist() for name in ("overview", "genres"))
        for overview, names in zip(*columns, strict=True):
            genres = frozenset(names)
            split = split_of_overview(overview, self.text)
            self.genres[split].append(genres)
            self.overviews.add(overview)
            if split == "train":
                self.support.update(genres)

    @property
    def learnable(self) -> list[str]:
        """Genres with enough movies in the training split."""
        return [name for name, count in self.support.items() if count >= self.min_support]

    def count_labelled(self) -> dict[str, int]:
        """Number of movies with a learnable genre, by split."""
        names = set(self.learnable)
        return {
            split: sum(not names.isdisjoint(genres) for genres in movies)
            for split, movies in self.genres.items()
        }

    def is_sufficient(self) -> bool:
        """Whether every split has enough movies for training and evaluation."""
        counts = self.count_labelled()
        return all(count >= MIN_LABELLED_MOVIES[split] for split, count in counts.items())


def require_trainable(
    sources: Sequence[str], config: IngestConfig, text: TextConfig, labels: LabelConfig
) -> str:
    """Check that sources are sufficient for training; returns the names of their files.

    Stops reading as soon as there are enough movies. Joined files are opened, but not read.

    Raises:
        UserError: a source or a joined file cannot be read, or there are too few different movies
            with genres.
    """
    opened = open_sources(sources, config)
    open_joined_files(config.joined_files, config.columns)
    name = source_label([path for one in opened for path in one.source.files])
    counts, splits = RowCounts(), SplitGenres(text, labels.min_support)
    for chunk in _read_sources(opened):
        counts.add(chunk)
        splits.add(chunk.movies)
        if splits.is_sufficient():
            return name
    counts.require_usable(name, config.max_quarantined_share)
    try:
        require_genres(splits.learnable, labels.min_support)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    raise UserError(f"{name}: {_too_few_movies(counts, splits)}")


def _read_sources(opened: Sequence[OpenedSource]) -> Iterator[ChunkResult]:
    for source in opened:
        yield from read_files(source, CHUNK_ROWS, IngestState(source.source.name))


def _too_few_movies(counts: RowCounts, splits: SplitGenres) -> str:
    return (
        f"too few different movies to train on: {counts.kept} valid movies with "
        f"{len(splits.overviews)} different overviews. Movies with a learnable genre: "
        f"{_split_counts(splits.count_labelled())} (needed: {_split_counts(MIN_LABELLED_MOVIES)}). "
        "Give more movies: 100 with different overviews are usually enough."
    )


def _split_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{split} {count}" for split, count in counts.items())


@io_task("check-source")
def check_source(
    sources: list[str], config: IngestConfig, text: TextConfig, labels: LabelConfig
) -> None:
    """Raise UserError for sources that are insufficient for training, before a run is created."""
    require_trainable(sources, config, text=text, labels=labels)
