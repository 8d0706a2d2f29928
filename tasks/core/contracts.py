"""What stages agree on: tables they exchange, references they pass, errors a user sees."""

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from pydantic import BaseModel

#: A movie that passed validation. `source` and `id` together name it; `row` is its record in the
#: source file, from 1, header not counted.
MOVIES = pa.schema(
    [
        ("source", pa.string()),
        ("id", pa.int64()),
        ("title", pa.string()),
        ("overview", pa.string()),
        ("genres", pa.list_(pa.string())),
        ("keywords", pa.list_(pa.string())),
        ("year", pa.int16()),
        ("language", pa.string()),
        ("collection", pa.string()),
        ("vote_count", pa.int64()),
        ("row", pa.int64()),
    ]
)

#: A source row that was not kept, and why. `value` is the raw cell, cut to 200 characters.
QUARANTINE = pa.schema(
    [
        ("source", pa.string()),
        ("row", pa.int64()),
        ("column", pa.string()),
        ("reason", pa.string()),
        ("value", pa.string()),
    ]
)

#: A movie with its text as space-separated tokens, and the split it belongs to for ever.
DOCUMENTS = pa.schema([*MOVIES, ("split", pa.string()), ("document", pa.string())])


#: What stands before an MLflow run's id in the tag of the index version that it wrote.
RUN_PREFIX = "run-"


class UserError(Exception):
    """Something that the user can mend; its message is the one sentence shown."""


class RegistryError(UserError):
    """The registry is damaged or cannot be reached."""


class UnreachableError(RegistryError):
    """The registry does not answer, which may pass."""


class DamagedVersionError(UserError):
    """A registered version cannot answer: its models or its index are gone or were changed.

    `damage` says what is wrong; the message adds the two ways out.
    """

    def __init__(self, damage: str) -> None:
        super().__init__(
            f"{damage}. Train again (a damaged champion is passed over), or promote another "
            "version: `movie-recommender release list` shows them."
        )
        self.damage = damage


class Ref(BaseModel, frozen=True):
    """A stored output: what tasks pass on instead of the data.

    `paths` are relative to the artifacts root (several when chunks were joined), `digest` is the
    SHA-256 of the content, `rows` the number of movies in it (0 where rows have no meaning).
    """

    paths: tuple[str, ...]
    digest: str
    rows: int = 0

    @property
    def name(self) -> str:
        """A short name for logs and task runs: the file's stem."""
        return Path(self.paths[0]).stem


class MoviesRef(Ref, frozen=True):
    """Valid movies of one chunk (`MOVIES`)."""


class QuarantineRef(Ref, frozen=True):
    """Rows that were not kept (`QUARANTINE`)."""


class DocumentsRef(Ref, frozen=True):
    """Tokenised documents (`DOCUMENTS`)."""


class ProfileRef(Ref, frozen=True):
    """What a source looks like, as counts."""


class Doc2VecRef(Ref, frozen=True):
    """Folder of a trained Doc2Vec model."""


class VectorsRef(Ref, frozen=True):
    """Document vectors: `id` and `embedding`, in the documents' order."""


class LabelsRef(Ref, frozen=True):
    """Indicator matrix of the learnt genres, in the documents' order."""


class ClassifierRef(Ref, frozen=True):
    """Folder of a trained genre classifier: state dict, config, classes, thresholds, history."""


class ProbabilitiesRef(Ref, frozen=True):
    """Genre probabilities of every document (n_documents, n_genres), in the documents' order."""


class TransformerRef(Ref, frozen=True):
    """Folder of word frequencies and whitening: what makes movies comparable."""


class RowsRef(Ref, frozen=True):
    """Rows of the index: movies with what they are found and compared by."""


class ListsRef(Ref, frozen=True):
    """Recommendations of some movies, a row each."""


class RatingsRef(BaseModel, frozen=True):
    """MovieLens's ratings and links that lie beside a source; `source` is its name."""

    source: str
    files: tuple[Path, Path]
    digest: str


class ScoresRef(Ref, frozen=True):
    """Folder of metrics and tables of one evaluation."""


class FiguresRef(Ref, frozen=True):
    """Folder of figures as PNG files, and of what an interactive one is drawn from."""


class IngestRef(BaseModel, frozen=True):
    """Everything that came out of a source: chunks, quarantine and counts that add up to `rows`."""

    source: str
    digest: str
    chunks: tuple[MoviesRef, ...]
    quarantine: QuarantineRef
    rows: int
    kept: int
    unlabelled: int
    unreadable_keywords: int
    reasons: dict[str, int]


class IndexRef(BaseModel, frozen=True):
    """A published version: where the database lies and the tag that names its table.

    `recall` is the share of the nearest vectors that its approximate index finds; 1 without one.
    """

    uri: str
    tag: str
    rows: int = 0
    recall: float = 1.0


class RefreshRef(BaseModel, frozen=True):
    """A version that new movies were merged into, and how many were new and how many known."""

    index: IndexRef
    added: int
    updated: int


class RunRef(BaseModel, frozen=True):
    """The MLflow run of this flow run."""

    run_id: str
    experiment_id: str
    tracking_uri: str

    @property
    def index_tag(self) -> str:
        """Tag of the index version that it writes."""
        return f"{RUN_PREFIX}{self.run_id}"


class StageTime(NamedTuple):
    """When a stage began and ended, in seconds from the run's start, and how many tasks it had."""

    name: str
    start: float
    end: float
    tasks: int
