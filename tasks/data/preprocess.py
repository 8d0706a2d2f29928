"""Chunk of movies with their splits -> tokenised documents."""

from collections.abc import Sequence
from importlib.util import find_spec
from itertools import pairwise
from typing import Literal

import pyarrow as pa
from nltk.tokenize import NLTKWordTokenizer, PunktSentenceTokenizer
from prefect import unmapped
from pydantic import Field, field_validator, model_validator

from tasks.core.compute import Compute, run_chunk
from tasks.core.contracts import DOCUMENTS, DocumentsRef, MoviesRef, SplitsRef
from tasks.core.documents import to_document
from tasks.core.orchestration.progress import gather
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig
from tasks.data.words import Segmenter, content_words, language_of, stems_of, words_of

TEXT_COLUMNS = ("title", "overview", "genres", "keywords")
MIN_CHUNKS_FOR_PROCESSES = 100  # later stages of such a source use the process pool anyway

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
    validation_share: float = Field(
        0.05, gt=0, le=0.4, description="Share of movies on which thresholds and epochs are chosen"
    )
    gate_share: float = Field(
        0.1, gt=0, le=0.4, description="Share of movies that decide about the promotion alone"
    )
    test_share: float = Field(
        0.1, gt=0, le=0.4, description="Share of movies for the reported scores alone"
    )

    @model_validator(mode="after")
    def _leave_train_movies(self) -> "TextConfig":
        if self.test_share + self.gate_share + self.validation_share >= 1:
            raise ValueError("test, gate and validation share leave no movies to train on")
        return self

    @field_validator("segmenter")
    @classmethod
    def _require_dictionary(cls, segmenter: Segmenter) -> Segmenter:
        if segmenter == "dictionary" and find_spec("icu4py") is None:
            raise ValueError("install ICU's dictionaries: .venv/bin/python -m pip install icu4py")
        return segmenter


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
    """Document of a movie: its tokens and the words of its title; without these in recipe `blog`.

    Training, evaluation, the promotion gate, refresh and queries all use this function, so that a
    model always gets documents like those it was trained on. `keywords` are used only if
    `config.keywords` is set.
    """
    tokens = document_tokens(title, overview, config, genres=genres)
    if config.keywords:
        tokens += keyword_tokens(keywords, config)
    return to_document(tokens, [] if config.recipe == "blog" else words_of(title, config.segmenter))


def build_documents(movies: pa.Table, config: TextConfig) -> list[str]:
    """Documents of movies (columns `title`, `overview`, `genres`, `keywords`), in their order."""
    titles, overviews, genres, keywords = (movies[name].to_pylist() for name in TEXT_COLUMNS)
    return [
        build_document(title, overview, config, genres=names, keywords=words)
        for title, overview, names, words in zip(titles, overviews, genres, keywords, strict=True)
    ]


def to_documents(movies: pa.Table, splits: Sequence[str], config: TextConfig) -> pa.Table:
    """Add splits and documents to movies (`MOVIES`); returns `DOCUMENTS` in the same order."""
    documents = build_documents(movies, config)
    for name, values in (("split", splits), ("document", documents)):
        movies = movies.append_column(name, pa.array(values, pa.string()))
    return movies.cast(DOCUMENTS)


def _preprocess(
    movies: MoviesRef, splits: SplitsRef, config: TextConfig, writer: store.EntryWriter
) -> DocumentsRef:
    split_names = store.read(splits)["split"].to_pylist()
    documents = to_documents(store.read(movies), split_names, config)
    return writer.table_ref(DocumentsRef, f"{movies.name}.parquet", documents)


@stage_task("preprocess-chunk", "preprocess-{movies.name}")
def preprocess_chunk(
    movies: MoviesRef, splits: SplitsRef, config: TextConfig, compute: Compute
) -> DocumentsRef:
    """Tokenise the movies of one chunk."""
    return store.get_or_create(
        "documents",
        [config, movies.digest, splits.digest],
        DocumentsRef,
        lambda writer: run_chunk(
            compute, MIN_CHUNKS_FOR_PROCESSES, _preprocess, movies, splits, config, writer
        ),
    )


@stage_task("preprocess")
def preprocess(
    chunks: Sequence[MoviesRef], splits: Sequence[SplitsRef], config: TextConfig, compute: Compute
) -> DocumentsRef:
    """Tokenise the movies of all chunks, each in a task of its own."""
    documents = preprocess_chunk.map(chunks, splits, unmapped(config), unmapped(compute))
    return store.join(gather("preprocess", documents, sum(chunk.rows for chunk in chunks)))
