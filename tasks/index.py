"""Vectors, genres and movies -> a version of the LanceDB table; search and title look-up in it."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import FTS, BTree
from lancedb.query import MatchQuery
from lancedb.table import LanceTable, Table
from numpy.typing import NDArray
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, Field

from tasks import store
from tasks.compute import STAGE_PAYS_FROM, Compute, run_fresh
from tasks.contracts import (
    DocumentsRef,
    IndexRef,
    LabelsRef,
    ProbabilitiesRef,
    UserError,
    VectorsRef,
)

TABLE = "movies"
SMOKE_QUERIES = 20
COLUMNS = ["source", "id", "title", "year", "genres"]
MOVIE_COLUMNS = [*COLUMNS, "overview", "language", "collection", "vote_count"]
NGRAMS = FTS(
    base_tokenizer="ngram",
    ngram_min_length=3,
    ngram_max_length=3,
    stem=False,
    remove_stop_words=False,
)
Vectors = NDArray[np.float32]


class IndexConfig(BaseModel):
    """What nearness means."""

    genre_weight: float = Field(
        0.7, ge=0, le=10, description="Weight of the genre cosine beside the content cosine"
    )


class Titles(NamedTuple):
    """Outcome of a title look-up: movies of that title, else the nearest titles."""

    found: list[dict[str, Any]]
    suggestions: list[dict[str, Any]]


def lancedb_uri() -> str:
    """Where the index lies: `lancedb/` under the artifacts root."""
    return str(store.artifacts_root() / "lancedb")


def fold(title: str) -> str:
    """Title without case, accents and punctuation, for look-up."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", title) if not unicodedata.combining(c))
    words = re.sub(r"[\W_]+", " ", plain.casefold()).strip()
    return words or title.casefold().strip()


def quoted(text: str) -> str:
    """A SQL string literal: LanceDB filters take no parameters."""
    return "'" + text.replace("'", "''") + "'"


def normalise(vectors: Vectors) -> Vectors:
    """Rows scaled to length one.

    Raises:
        ValueError: a row is zero or not finite.
    """
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.all(np.isfinite(norms) & (norms > 0)):
        raise ValueError("a zero or non-finite vector has no direction")
    unit: Vectors = (vectors / norms).astype(np.float32)
    return unit


def genre_part(labels: NDArray[np.uint8], probabilities: Vectors) -> Vectors:
    """Known genres as 0 and 1; the classifier's probabilities where none is known."""
    known = labels.any(axis=1, keepdims=True)
    return np.where(known, labels, probabilities).astype(np.float32)


def index_vectors(content: Vectors, centre: Vectors, genres: Vectors, weight: float) -> Vectors:
    """Centred content ⊕ weight × genres, each of length one: a weighted sum of two cosines."""
    parts = [normalise(content - centre), weight * normalise(genres)]
    return np.hstack(parts).astype(np.float32, copy=False)


def index_table(movies: pa.Table, vectors: Vectors) -> pa.Table:
    """Rows of the LanceDB table from movies and their index vectors."""
    keys = pa.array([fold(title) for title in movies["title"].to_pylist()], pa.string())
    vector = store.vectors_table(movies["id"], vectors)["embedding"]
    return movies.append_column("title_key", keys).append_column("vector", vector)


class Written:
    """Passes tables on, and remembers how many rows they had and some of their vectors."""

    def __init__(self) -> None:
        self.rows, self.vectors = 0, list[list[float]]()

    def through(self, parts: Iterable[pa.Table]) -> Iterator[pa.RecordBatch]:
        """The same rows; a part is forgotten when it is written."""
        for part in parts:
            self.rows += part.num_rows
            if len(self.vectors) < SMOKE_QUERIES and part.num_rows:
                self.vectors += [part["vector"][row].as_py() for row in (0, -1)]
            yield from part.to_batches()


def publish(uri: str, parts: Iterable[pa.Table], tag: str) -> IndexRef:
    """Write the rows as a new version of the table, check it, and tag it; others stay readable.

    Raises:
        ValueError: the version does not hold what was written; it stays untagged.
    """
    database, written = lancedb.connect(uri), Written()
    mode = "overwrite" if TABLE in database.table_names() else "create"
    first, parts = peek(parts)
    reader = pa.RecordBatchReader.from_batches(first.schema, written.through(parts))
    table = database.create_table(TABLE, reader, mode=mode)
    for column in ("id", "title_key"):
        table.create_index(column, config=BTree())
    table.create_index("title", config=NGRAMS)
    check_table(table, written)
    table.tags.create(tag, table.version)
    return IndexRef(uri=uri, tag=tag, version=table.version, rows=written.rows)


def peek(parts: Iterable[pa.Table]) -> tuple[pa.Table, Iterator[pa.Table]]:
    """The first part, and all of them."""
    rest = iter(parts)
    first = next(rest)
    return first, chain([first], rest)


def check_table(table: Table, written: Written) -> None:
    """Raises ValueError unless row count and smoke queries come out as written."""
    if table.count_rows() != written.rows:
        raise ValueError(f"{table.count_rows()} rows in the index, {written.rows} written")
    for vector in written.vectors:
        nearest = _nearest(table, vector, 1, None)[0]["_distance"]
        if abs(nearest) > 1e-3:
            raise ValueError("a row does not find itself in the index")


def open_version(uri: str, tag: str) -> LanceTable:
    """The table as it was when `tag` was set, whatever has been published since."""
    table = lancedb.connect(uri).open_table(TABLE)
    table.checkout(tag)
    return table


def _nearest(
    table: Table, vector: Sequence[float], limit: int, where: str | None
) -> list[dict[str, Any]]:
    query = table.search(vector, vector_column_name="vector").distance_type("cosine")
    if where:
        query = query.where(where)
    found: list[dict[str, Any]] = query.select([*COLUMNS, "_distance"]).limit(limit).to_list()
    return found


def similar(table: Table, movie: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    """The `limit` movies nearest to one of the table, itself left out: columns and `score`.

    `score` is the cosine of the index vectors, so 1 means the same direction.
    """
    row = table.search().where(itself(movie)).select(["vector"]).limit(1).to_list()
    found = _nearest(table, row[0]["vector"], limit, f"NOT {itself(movie)}")
    return [
        {name: hit[name] for name in COLUMNS} | {"score": 1 - hit["_distance"]} for hit in found
    ]


def find_title(table: Table, title: str, year: int | None = None) -> Titles:
    """Look a title up: exact, then without case, accents and punctuation, then near ones.

    A year at the end in parentheses (`Cinderella (2015)`) tells remakes apart.
    """
    asked = " ".join(title.split())
    found = _titled(table, asked, year)
    if not found and (match := re.fullmatch(r"(.+?)\s*\((\d{4})\)", asked)):
        found = _titled(table, match[1], int(match[2]))
    return Titles(found, [] if found else near_titles(table, asked))


def _titled(table: Table, title: str, year: int | None) -> list[dict[str, Any]]:
    for column, value in (("title", title), ("title_key", fold(title))):
        where = f"{column} = {quoted(value)}" + (f" AND year = {int(year)}" if year else "")
        if found := table.search().where(where).select(COLUMNS).limit(50).to_list():
            return sorted(found, key=lambda movie: (movie["year"] or 0, movie["id"]))
    return []


def itself(movie: dict[str, Any]) -> str:
    """The filter that leaves one movie of the table."""
    return f"(id = {int(movie['id'])} AND source = {quoted(movie['source'])})"


def overview_of(table: Table, movie: dict[str, Any]) -> str:
    """The stored text of a movie of the table."""
    (row,) = table.search().where(itself(movie)).select(["overview"]).limit(1).to_list()
    return str(row["overview"])


def near_titles(table: Table, title: str, limit: int = 5) -> list[dict[str, Any]]:
    """Titles that share most three-letter sequences with what was typed."""
    query = table.search(MatchQuery(title, "title"), query_type="fts")
    found = query.select([*COLUMNS, "_score"]).limit(limit).to_list()
    return [{name: movie[name] for name in COLUMNS} for movie in found]


def centre_of(parts: Iterable[tuple[Vectors, Sequence[str]]]) -> Vectors:
    """Mean vector of the train split, from vectors and splits of some documents at a time."""
    total, count = np.float64(0), 0
    for content, splits in parts:
        train = content[np.array(splits) == "train"]
        total, count = total + train.sum(axis=0, dtype=np.float64), count + len(train)
    return np.asarray(total / count, np.float32)


def _build(
    documents: DocumentsRef,
    vectors: VectorsRef,
    labels: LabelsRef,
    probabilities: ProbabilitiesRef,
    config: IndexConfig,
    tag: str,
) -> IndexRef:
    predicted = np.load(store.locate(probabilities), allow_pickle=False)
    genres = genre_part(store.read_labels(labels)[0], predicted)
    splits = (part["split"].to_pylist() for part in store.chunks(documents, ["split"]))
    centre = centre_of(zip(map(store.matrix, store.chunks(vectors)), splits, strict=True))

    def parts() -> Iterator[pa.Table]:
        first, movies = 0, store.chunks(documents, MOVIE_COLUMNS)
        for chunk, content in zip(movies, map(store.matrix, store.chunks(vectors)), strict=True):
            own = genres[first : first + chunk.num_rows]
            yield index_table(chunk, index_vectors(content, centre, own, config.genre_weight))
            first += chunk.num_rows

    return publish(lancedb_uri(), parts(), tag)


@task(name="index", cache_policy=NO_CACHE)
def build_index(
    documents: DocumentsRef,
    vectors: VectorsRef,
    labels: LabelsRef,
    probabilities: ProbabilitiesRef,
    config: IndexConfig,
    tag: str,
    compute: Compute,
) -> IndexRef:
    """Publish a checked, tagged version of the LanceDB table."""
    given = (documents, vectors, labels, probabilities, config, tag)
    ref = run_fresh(compute, STAGE_PAYS_FROM, _build, *given)
    get_run_logger().info("%d movies in version %d, tag %s", ref.rows, ref.version, ref.tag)
    return ref


def unknown_title(title: str, suggestions: Sequence[dict[str, Any]]) -> UserError:
    """The error of a look-up that found nothing."""
    near = "; ".join(shown(movie) for movie in suggestions)
    hint = f" Did you mean: {near}?" if near else ""
    return UserError(f"No movie is called '{title}'.{hint}")


def shown(movie: dict[str, Any]) -> str:
    """`Title (year)`."""
    return f"{movie['title']} ({movie['year']})" if movie["year"] else str(movie["title"])
