"""Chunk of movies -> tokenised documents, each in the split that its overview's hash gives."""

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from nltk.stem.snowball import EnglishStemmer
from nltk.tokenize import NLTKWordTokenizer, PunktSentenceTokenizer
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import Field
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from tasks.core.compute import Compute, run_chunk, run_stage
from tasks.core.contracts import DOCUMENTS, MOVIES, DocumentsRef, MoviesRef
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig
from tasks.core.text import normalize_overview

VERSION = 3
MIN_CHUNKS_FOR_PROCESSES = 100  # chunks; later stages of so large a source use the pool anyway
SALT = "movie-recommender/1"

Split = Literal["train", "validation", "test"]

#: Words with an inner apostrophe. `re` and not nltk's RegexpTokenizer, which guards each call with
#: a time limit and takes 2.5 times as long; this pattern cannot backtrack.
_WORDS = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_stemmer = EnglishStemmer()
_sentences = PunktSentenceTokenizer()
_treebank = NLTKWordTokenizer()


class TextConfig(StrictConfig):
    """What a document is made of, and how documents are split."""

    recipe: Literal["content", "blog"] = Field(
        "content",
        description="content: words of overview and title, stop words out. "
        "blog: the post's text with the genres in it, which leaks the label",
    )
    pairs: bool = Field(
        True, description="Stem the words and add each pair of neighbours (recipe content)"
    )
    keywords: bool = Field(False, description="Put the movies' keywords into their documents")
    validation_share: float = Field(0.1, gt=0, le=0.4, description="Share of movies to tune on")
    test_share: float = Field(0.1, gt=0, le=0.4, description="Share of movies held out")


def assign_split(overview: str, validation_share: float, test_share: float) -> Split:
    """Split of a document, for ever: a salted hash of its normalised overview in [0, 1)."""
    digest = hashlib.sha256(f"{SALT}\n{normalize_overview(overview)}".encode()).digest()
    position = int.from_bytes(digest[:7], "big") / 2**56
    if position < test_share:
        return "test"
    return "validation" if position < test_share + validation_share else "train"


def content_tokens(title: str, overview: str) -> list[str]:
    """Lower-case words of overview and title without stop words; genres never enter.

    A text of nothing but stop words keeps them, so that no document is empty without need.
    """
    tokens = _WORDS.findall(f"{overview} {title}".lower().replace("’", "'"))
    kept = [token for token in tokens if token not in ENGLISH_STOP_WORDS and len(token) > 1]
    return kept or tokens


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """Snowball's English stem (Porter, 2001): `haunted` and `haunting` become one word."""
    stemmed: str = _stemmer.stem(word)
    return stemmed


def add_bigrams(words: Sequence[str]) -> list[str]:
    """Stems of the words, then each pair of neighbours as one token: `haunt ship haunt_ship`."""
    stems = list(map(stem, words))
    return stems + [f"{first}_{second}" for first, second in pairwise(stems)]


def document_tokens(
    title: str, overview: str, config: TextConfig, genres: Sequence[str] = ()
) -> list[str]:
    """Tokens of a document; `genres` enter with the recipe `blog` alone."""
    if config.recipe == "blog":
        return blog_tokens(title, overview, genres)
    words = content_tokens(title, overview)
    return add_bigrams(words) if config.pairs else words


def blog_tokens(title: str, overview: str, genres: Sequence[str]) -> list[str]:
    """Tokens of the post's text, genre words included: what `word_tokenize` makes of it.

    The sentence splitter is nltk's Punkt without its trained parameters, which are a download.
    """
    text = f"Overview: {overview} Genres: {', '.join(genres)} Title: {title}".lower()
    return [token for part in _sentences.tokenize(text) for token in _treebank.tokenize(part)]


def keyword_tokens(keywords: Sequence[str]) -> list[str]:
    """Words of a movie's keywords, as content tokens."""
    return _WORDS.findall(" ".join(keywords).lower())


def build_document(
    title: str,
    overview: str,
    config: TextConfig,
    genres: Sequence[str] = (),
    keywords: Sequence[str] = (),
) -> str:
    """The document of one movie, tokens separated by spaces.

    Training, evaluation, the gate, refresh and every question make documents here, so that a model
    is always asked with what it was trained on. Keywords enter where `config.keywords` says so.
    """
    tokens = document_tokens(title, overview, config, genres)
    return " ".join(tokens + keyword_tokens(keywords) if config.keywords else tokens)


def to_documents(movies: pa.Table, config: TextConfig) -> pa.Table:
    """Movies (`MOVIES`) with split and document (`DOCUMENTS`), in the same order."""
    columns = ("title", "overview", "genres", "keywords")
    titles, overviews, genres, keywords = (movies[name].to_pylist() for name in columns)
    splits = [
        assign_split(overview, config.validation_share, config.test_share) for overview in overviews
    ]
    documents = [
        build_document(title, overview, config, genres=names, keywords=words)
        for title, overview, names, words in zip(titles, overviews, genres, keywords, strict=True)
    ]
    for name, values in (("split", splits), ("document", documents)):
        movies = movies.append_column(name, pa.array(values, pa.string()))
    return movies.cast(DOCUMENTS)


def _preprocess(movies: MoviesRef, config: TextConfig, writer: store.EntryWriter) -> DocumentsRef:
    documents = to_documents(store.read(movies), config)
    return writer.table_ref(DocumentsRef, f"{movies.name}.parquet", documents)


@task(name="preprocess", task_run_name="preprocess-{movies.name}", cache_policy=NO_CACHE)
def preprocess(movies: MoviesRef, config: TextConfig, compute: Compute) -> DocumentsRef:
    """Tokenise and split one chunk."""
    return store.get_or_create(
        "documents",
        [VERSION, config, movies.digest],
        DocumentsRef,
        lambda writer: run_chunk(
            compute, MIN_CHUNKS_FOR_PROCESSES, _preprocess, movies, config, writer
        ),
    )


def keys_shared_with_test(movies: pa.Table) -> list[str]:
    """What the test split has in common with the others: ids (`source/id`) and overviews."""
    keys = [
        {f"{source}/{movie_id}", normalize_overview(overview)}
        for source, movie_id, overview in zip(
            *(movies[name].to_pylist() for name in ("source", "id", "overview")), strict=True
        )
    ]
    seen: dict[bool, set[str]] = {True: set(), False: set()}
    for split, key in zip(movies["split"].to_pylist(), keys, strict=True):
        seen[split == "test"] |= key
    return sorted(seen[True] & seen[False])


def genre_dependent_ids(documents: pa.Table, config: TextConfig) -> list[int]:
    """Ids of movies whose document would be another one without their genres."""
    genres = documents.column_names.index("genres")
    none = pa.array([[]] * documents.num_rows, documents.schema.field("genres").type)
    blind = documents.set_column(genres, "genres", none).select(MOVIES.names)
    before = documents["document"].to_pylist()
    after = to_documents(blind, config)["document"].to_pylist()
    ids = documents["id"].to_pylist()
    return [i for i, one, two in zip(ids, before, after, strict=True) if one != two]


def require_held_out(documents: DocumentsRef, config: TextConfig) -> None:
    """Raises ValueError if the scores of a run on these documents would not be held-out."""
    movies = store.read(documents, ["source", "id", "overview", "split"])
    if shared := keys_shared_with_test(movies):
        raise ValueError(f"{len(shared)} ids or overviews are in test and in training: {shared[0]}")
    if config.recipe == "blog":
        return
    for chunk in store.chunks(documents):
        test = chunk.filter(pc.equal(chunk["split"], "test"))
        if found := genre_dependent_ids(test, config):
            raise ValueError(f"The genres of movie {found[0]} and others got into their documents.")


@task(name="check-documents", cache_policy=NO_CACHE)
def check_documents(documents: DocumentsRef, config: TextConfig, compute: Compute) -> None:
    """Fail on test movies that training sees, and on a genre in a text that should not hold it.

    The recipe `blog` puts genres into its text on purpose, and its scores are named for it.

    Raises:
        ValueError: the scores of this run would not be held-out.
    """
    run_stage(compute, require_held_out, documents, config)
