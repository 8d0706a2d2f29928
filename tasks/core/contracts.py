"""Contracts between stages: table schemas, references to stored outputs, errors for the user."""

from pathlib import Path
from typing import NamedTuple, Self

import pyarrow as pa
from pydantic import BaseModel

#: A movie that passed validation. `source` and `id` together identify it. `row` is its row number
#: in the source file, counted from 1 without the header. `people` are its directors, then its
#: leading actors.
MOVIES = pa.schema(
    [
        ("source", pa.string()),
        ("id", pa.string()),
        ("title", pa.string()),
        ("overview", pa.string()),
        ("genres", pa.list_(pa.string())),
        ("keywords", pa.list_(pa.string())),
        ("people", pa.list_(pa.string())),
        ("imdb_id", pa.string()),
        ("year", pa.int16()),
        ("language", pa.string()),
        ("collection", pa.string()),
        ("vote_count", pa.int64()),
        ("row", pa.int64()),
    ]
)

#: A rejected source row and the reason. `value` is the raw cell, cut to 200 characters.
QUARANTINE = pa.schema(
    [
        ("source", pa.string()),
        ("row", pa.int64()),
        ("column", pa.string()),
        ("reason", pa.string()),
        ("value", pa.string()),
    ]
)

#: A movie with its split and its document: see `tasks/core/documents.py`.
DOCUMENTS = pa.schema([*MOVIES, ("split", pa.string()), ("document", pa.string())])


#: Prefix of the tag of an index version; the rest is the id of the MLflow run that wrote it.
RUN_PREFIX = "run-"


class UserError(Exception):
    """An error that the user can fix. Only its message is shown, without a traceback."""


class RegistryError(UserError):
    """The model registry is damaged or unreachable."""


class UnreachableError(RegistryError):
    """The model registry does not answer; a later try may succeed."""


class DamagedVersionError(UserError):
    """A registered version is unusable: its models or its index are missing or were changed.

    `damage` describes the problem. The message adds what the user can do.
    """

    def __init__(self, damage: str) -> None:
        super().__init__(
            f"{damage}. Train again (a damaged champion is ignored), or promote another "
            "version: `movie-recommender release list` shows them."
        )
        self.damage = damage


class Ref(BaseModel, frozen=True):
    """Reference to a stored output. Tasks exchange references, not data.

    `paths` are relative to the artifacts root; joined chunks have several, and their references are
    in `parts`. `digest` is the SHA-256 of the content. `rows` is the number of movies, or 0 if the
    output has no rows.
    """

    paths: tuple[str, ...]
    digest: str
    rows: int = 0
    parts: tuple[Self, ...] = ()

    @property
    def name(self) -> str:
        """A short name for logs and task runs: the file's stem."""
        return Path(self.paths[0]).stem


class MoviesRef(Ref, frozen=True):
    """Valid movies of one chunk (`MOVIES`)."""


class QuarantineRef(Ref, frozen=True):
    """Rejected source rows (`QUARANTINE`)."""


class SplitsRef(Ref, frozen=True):
    """Splits of the movies of one chunk, in their order: column `split`."""


class DocumentsRef(Ref, frozen=True):
    """Tokenised documents (`DOCUMENTS`)."""


class ProfileRef(Ref, frozen=True):
    """Counts that describe a source: movies by genre, decade and text length."""


class Doc2VecRef(Ref, frozen=True):
    """Folder of a trained Doc2Vec model."""


class VectorsRef(Ref, frozen=True):
    """Document vectors: columns `id` and `embedding`, in the order of the documents."""


class LabelsRef(Ref, frozen=True):
    """Indicator matrix (n_documents, n_genres) of the learned genres, in document order."""


class LinearRef(Ref, frozen=True):
    """Folder of a linear genre model: terms with their IDF, weights, and biases."""


class ClassifierRef(Ref, frozen=True):
    """Folder of a trained genre classifier: weights, config, classes, thresholds, history."""


class ProbabilitiesRef(Ref, frozen=True):
    """Genre probabilities (n_documents, n_genres), in the order of the documents."""


class TextFeaturesRef(Ref, frozen=True):
    """Folder of an index transformer that lacks the projection of the network's hidden layer."""


class TransformerRef(Ref, frozen=True):
    """Folder of the fitted index transformer: term weights and whitening."""


class RowsRef(Ref, frozen=True):
    """Rows of the index: movies with the features for look-up and ranking."""


class ListsRef(Ref, frozen=True):
    """Recommendations, one row for each query movie."""


class RatingsRef(BaseModel, frozen=True):
    """MovieLens ratings and links in the folder of a source; `source` is its name."""

    source: str
    files: tuple[Path, Path]
    digest: str


class KnownItemsRef(BaseModel, frozen=True):
    """Questions for known items in the folder of a source; `source` is its name."""

    source: str
    file: Path
    digest: str


class ScoresRef(Ref, frozen=True):
    """Folder of metrics and tables of one evaluation."""


class FiguresRef(Ref, frozen=True):
    """Folder of figures: PNG files, and the data of the interactive figure."""


class IngestRef(BaseModel, frozen=True):
    """Result of reading the sources: chunks, quarantine and counts.

    `files` names every input file with its source and SHA-256. `rows` is the number of source rows:
    `kept` plus the rows of the quarantine. `undated` of the kept ones have no readable year, if the
    source has a column of dates. `formats` has formats that are not the usual ones, by the first
    file with each. `merged_genres` has the spellings of each genre that is written in several ways.
    """

    source: str
    digest: str
    files: tuple[str, ...]
    chunks: tuple[MoviesRef, ...]
    quarantine: QuarantineRef
    rows: int
    kept: int
    unlabelled: int
    undated: int = 0
    unreadable_keywords: int
    unreadable_credits: int
    reasons: dict[str, int]
    formats: dict[str, str] = {}
    merged_genres: dict[str, list[str]] = {}


class IndexRef(BaseModel, frozen=True):
    """A published index version: URI of the database and tag that names its table.

    `recall` is the share of the nearest vectors that the approximate index returns; 1.0 if there is
    no approximate index.
    """

    uri: str
    tag: str
    rows: int = 0
    recall: float = 1.0


class RefreshRef(BaseModel, frozen=True):
    """An index version with merged movies, how many were added and updated, and the report."""

    index: IndexRef
    added: int
    updated: int
    report: str = ""


class RunRef(BaseModel, frozen=True):
    """The MLflow run of this flow run."""

    run_id: str
    experiment_id: str
    tracking_uri: str

    @property
    def index_tag(self) -> str:
        """Tag of the index version that this run writes."""
        return f"{RUN_PREFIX}{self.run_id}"


class StageTime(NamedTuple):
    """When tasks of a stage were running, and how many they were.

    `spans` are starts and ends, in seconds from the start of the run, in order and without overlap.
    """

    name: str
    spans: tuple[tuple[float, float], ...]
    tasks: int

    @property
    def seconds(self) -> float:
        """How long any task of the stage was running."""
        return sum(end - start for start, end in self.spans)
