"""Chunk of movies -> tokenised documents, with a split that depends on the overview alone."""

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import pairwise
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from nltk.tokenize import NLTKWordTokenizer, PunktSentenceTokenizer
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import Field, field_validator

from tasks.core.compute import Compute, run_chunk, run_stage
from tasks.core.contracts import DOCUMENTS, MOVIES, DocumentsRef, MoviesRef
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig
from tasks.core.text import normalize_overview
from tasks.data.words import Segmenter, content_words, language_of, stems_of, words_of

MIN_CHUNKS_FOR_PROCESSES = 100  # later stages of such a source use the process pool anyway
SALT = "movie-recommender/1"

Split = Literal["train", "validation", "test"]

_sentences = PunktSentenceTokenizer()
_treebank = NLTKWordTokenizer()


class TextConfig(StrictConfig):
    """Content of the documents, and how they are split."""

    recipe: Literal["content", "blog"] = Field(
        "content",
        description="content: words of overview and title without stop words. "
        "blog: the blog post's text, which contains the genres and so leaks the labels",
    )
    pairs: bool = Field(True, description="Stem the words and add bigrams (recipe content only)")
    keywords: bool = Field(False, description="Add the keywords of each movie to its document")
    segmenter: Segmenter = Field(
        "pairs",
        description="Words of scripts without spaces (Chinese, Japanese, Thai, …): pairs of "
        "characters, or dictionary: those of ICU, which needs the package icu4py",
    )
    validation_share: float = Field(0.1, gt=0, le=0.4, description="Share of movies for validation")
    test_share: float = Field(0.1, gt=0, le=0.4, description="Share of movies for the final test")

    @field_validator("segmenter")
    @classmethod
    def _require_dictionary(cls, segmenter: Segmenter) -> Segmenter:
        if segmenter == "dictionary" and find_spec("icu4py") is None:
            raise ValueError("install ICU's dictionaries: .venv/bin/python -m pip install icu4py")
        return segmenter


def assign_split(overview: str, validation_share: float, test_share: float) -> Split:
    """Split of a document by a salted hash of its normalised overview, so that it never changes."""
    digest = hashlib.sha256(f"{SALT}\n{normalize_overview(overview)}".encode()).digest()
    position = int.from_bytes(digest[:7], "big") / 2**56
    if position < test_share:
        return "test"
    return "validation" if position < test_share + validation_share else "train"


def content_tokens(title: str, overview: str, config: TextConfig) -> list[str]:
    """Lower-case words of overview and title without stop words; genres are never included.

    With `config.pairs`, their stems, then their bigrams. A text of stop words alone keeps them, so
    that its document is not empty.
    """
    words = words_of(f"{overview} {title}", config.segmenter)
    language = language_of(words)
    content = content_words(words, language)
    return add_bigrams(stems_of(content, language)) if config.pairs else content


def add_bigrams(stems: Sequence[str]) -> list[str]:
    """The stems, then their bigrams as tokens: `haunt ship haunt_ship`."""
    return [*stems, *(f"{first}_{second}" for first, second in pairwise(stems))]


def document_tokens(
    title: str, overview: str, config: TextConfig, genres: Sequence[str] = ()
) -> list[str]:
    """Tokens of a document; `genres` are used by the recipe `blog` alone."""
    if config.recipe == "blog":
        return blog_tokens(title, overview, genres)
    return content_tokens(title, overview, config)


def blog_tokens(title: str, overview: str, genres: Sequence[str]) -> list[str]:
    """Tokens of the blog post's text, including the genres, like nltk's `word_tokenize`.

    The sentence splitter is nltk's Punkt without its trained parameters, which would have to be
    downloaded.
    """
    text = f"Overview: {overview} Genres: {', '.join(genres)} Title: {title}".lower()
    sentences = _sentences.tokenize(text)
    return [token for sentence in sentences for token in _treebank.tokenize(sentence)]


def keyword_tokens(keywords: Sequence[str], config: TextConfig) -> list[str]:
    """Lower-case words of the keywords of a movie."""
    return words_of(" ".join(keywords), config.segmenter)


def build_document(
    title: str,
    overview: str,
    config: TextConfig,
    genres: Sequence[str] = (),
    keywords: Sequence[str] = (),
) -> str:
    """Document of a movie: its tokens, separated by spaces.

    Training, evaluation, the promotion gate, refresh and queries all use this function, so that a
    model always gets documents like those it was trained on. `keywords` are used only if
    `config.keywords` is set.
    """
    tokens = document_tokens(title, overview, config, genres=genres)
    return " ".join(tokens + keyword_tokens(keywords, config) if config.keywords else tokens)


def to_documents(movies: pa.Table, config: TextConfig) -> pa.Table:
    """Add split and document to movies (`MOVIES`); returns `DOCUMENTS` in the same order."""
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
    """Tokenise the movies of one chunk and assign their splits."""
    return store.get_or_create(
        "documents",
        [config, movies.digest],
        DocumentsRef,
        lambda writer: run_chunk(
            compute, MIN_CHUNKS_FOR_PROCESSES, _preprocess, movies, config, writer
        ),
    )


def keys_shared_with_test(movies: pa.Table) -> list[str]:
    """Ids (`source/id`) and normalised overviews that are both in test and in another split."""
    columns = (movies[name].to_pylist() for name in ("source", "id", "overview", "split"))
    test_keys, other_keys = set[str](), set[str]()
    for source, movie_id, overview, split in zip(*columns, strict=True):
        keys = test_keys if split == "test" else other_keys
        keys |= {f"{source}/{movie_id}", normalize_overview(overview)}
    return sorted(test_keys & other_keys)


def genre_dependent_ids(documents: pa.Table, config: TextConfig) -> list[int]:
    """Ids of movies whose document would differ if they had no genres."""
    column = documents.column_names.index("genres")
    empty_lists = pa.array([[]] * documents.num_rows, documents.schema.field("genres").type)
    movies = documents.set_column(column, "genres", empty_lists).select(MOVIES.names)
    texts = documents["document"].to_pylist()
    texts_without_genres = to_documents(movies, config)["document"].to_pylist()
    rows = zip(documents["id"].to_pylist(), texts, texts_without_genres, strict=True)
    return [movie_id for movie_id, text, text_without in rows if text != text_without]


def require_held_out(documents: DocumentsRef, config: TextConfig) -> None:
    """Raise ValueError if test scores on these documents would not be held-out scores."""
    movies = store.read(documents, ["source", "id", "overview", "split"])
    if shared := keys_shared_with_test(movies):
        raise ValueError(f"{len(shared)} ids or overviews are in test and in training: {shared[0]}")
    if config.recipe == "blog":
        return
    for chunk in store.chunks(documents):
        test = chunk.filter(pc.equal(chunk["split"], "test"))
        if ids := genre_dependent_ids(test, config):
            raise ValueError(f"The documents of movie {ids[0]} and others contain their genres.")


@task(name="check-documents", cache_policy=NO_CACHE)
def check_documents(documents: DocumentsRef, config: TextConfig, compute: Compute) -> None:
    """Check for leakage: test movies in training, and genres in the documents of test movies.

    Documents of the recipe `blog` contain genres on purpose; its metrics have another prefix.

    Raises:
        ValueError: test scores of this run would not be held-out scores.
    """
    run_stage(compute, require_held_out, documents, config)
