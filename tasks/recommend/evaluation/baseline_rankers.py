"""Queries -> ranking scores of the recommender and of the baselines, computed side by side."""

from collections.abc import Callable, Sequence
from copy import copy
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from numpy.typing import NDArray

from tasks.core.documents import content_of
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.scoring import (
    FEATURES,
    Array,
    ItemFeatures,
    RankConfig,
    similarity_features,
    used_features,
    weighted_scores,
)

BLOCK = 32  # queries that are scored at a time
BM25_K1, BM25_B = 1.2, 0.75  # Robertson & Zaragoza, 2009
RECOMMENDER = "ours"  # name of the recommender among the scorers
#: Scores (n_queries, n_movies) of a block of query rows.
Scorer = Callable[[Sequence[int]], Array]


def weights(**values: float) -> RankConfig:
    """Ranking weights of the named features alone."""
    return RankConfig(**(dict.fromkeys(FEATURES, 0.0) | values))


#: Baselines that are weighted sums of the recommender's features. `no_text` knows everything about
#: a movie but its text.
WEIGHTED_BASELINES = {
    "tfidf": weights(words=1.0),
    "tfidf_genre": weights(words=1.0, genre=0.49),
    "genre": weights(genre=1.0),
    "no_text": weights(genre=0.5, year=0.65, votes=1.05),
    "popularity": weights(votes=1.0),
}
BASELINES = (*WEIGHTED_BASELINES, "bm25", "random")


class Queries(NamedTuple):
    """Queries to score: features (n rows), word counts (n, n_words), and a seed for each."""

    features: ItemFeatures
    counts: sp.csr_array
    seeds: list[int]


class Bm25(NamedTuple):
    """BM25 over the words of a catalogue: counts and weights, (n_movies, n_words).

    The weights may be those of some movies alone, the candidates.
    """

    counts: sp.csr_array
    weights_by_word: sp.csc_array

    def scores(self, counts: sp.csr_array) -> Array:
        """Scores (n_queries, n_movies) of queries with these word counts."""
        scores: Array = (counts @ self.weights_by_word.T).toarray()
        return scores


def word_counts(documents: Sequence[str], words: Sequence[str]) -> sp.csr_array:
    """Counts (n_documents, n_words) of these words in documents, whose other tokens are ignored."""
    tokens = pc.utf8_split_whitespace(pa.array(map(content_of, documents), pa.string()))
    columns = pc.index_in(tokens.flatten(), pa.array(words, pa.string())).fill_null(-1).to_numpy()
    rows = np.repeat(np.arange(len(documents)), pc.list_value_length(tokens).to_numpy())
    is_word = columns >= 0
    ones = np.ones(is_word.sum(), np.float32)
    shape = (len(documents), len(words))
    return sp.csr_array((ones, (rows[is_word], columns[is_word])), shape=shape)


def fit_bm25(counts: sp.csr_array) -> Bm25:
    """BM25 weights of documents with word counts (n_movies, n_words)."""
    n_documents, lengths = counts.shape[0], np.asarray(counts.sum(axis=1)).ravel()
    frequencies = np.bincount(counts.indices, minlength=counts.shape[1])
    idf = np.log(1 + (n_documents - frequencies + 0.5) / (frequencies + 0.5))
    scale = BM25_K1 * (1 - BM25_B + BM25_B * lengths / max(lengths.mean(), 1e-9))
    rows = np.repeat(np.arange(n_documents), np.diff(counts.indptr))
    saturated = counts.data * (BM25_K1 + 1) / (counts.data + scale[rows])
    weighted = (saturated * idf[counts.indices]).astype(np.float32)
    matrix = sp.csr_array((weighted, counts.indices, counts.indptr), shape=counts.shape)
    return Bm25(counts, matrix.tocsc())


def recommender_scorer(catalogue: Catalogue, config: RankConfig) -> Scorer:
    """The ranking score of the recommender."""
    names = used_features(config)

    def score(rows: Sequence[int]) -> Array:
        features = similarity_features(catalogue.features_of(rows), catalogue.items, names)
        return weighted_scores(features, config)

    return score


class Scorers:
    """The recommender and, with `bm25`, all baselines, which share their features."""

    def __init__(self, catalogue: Catalogue, config: RankConfig, bm25: Bm25 | None = None) -> None:
        self.catalogue, self.bm25, self.items = catalogue, bm25, catalogue.items
        self.configs = {RECOMMENDER: config} | (WEIGHTED_BASELINES if bm25 else {})
        self.names = [RECOMMENDER, *(BASELINES if bm25 else ())]

    def among(self, rows: NDArray[np.int64]) -> "Scorers":
        """The same scorers with these catalogue rows as the only candidates."""
        scorers = copy(self)
        scorers.items = self.catalogue.features.rows(rows).by_term()
        scorers.bm25 = self.bm25 and self.bm25._replace(
            weights_by_word=self.bm25.weights_by_word[rows]
        )
        return scorers

    def movie_queries(self, rows: Sequence[int]) -> Queries:
        """Movies of the catalogue as queries."""
        counts = self.bm25.counts[list(rows)] if self.bm25 else sp.csr_array((len(rows), 0))
        return Queries(self.catalogue.features_of(rows), counts, list(rows))

    def scores(self, queries: Queries, *, is_text: bool = False) -> dict[str, Array]:
        """Scores (n_queries, n_movies) by name of the scorer."""
        configs = self.configs
        if is_text:
            configs = configs | {RECOMMENDER: configs[RECOMMENDER].for_text()}
        names = list(dict.fromkeys(name for c in configs.values() for name in used_features(c)))
        features = similarity_features(queries.features, self.items, names)
        scores = {name: weighted_scores(features, config) for name, config in configs.items()}
        if self.bm25:
            scores["bm25"] = self.bm25.scores(queries.counts)
            scores["random"] = _random_scores(queries.seeds, len(self.items.votes))
        return scores


def _random_scores(seeds: Sequence[int], n_movies: int) -> Array:
    scores = [np.random.default_rng([0, seed]).random(n_movies, np.float32) for seed in seeds]
    return np.array(scores, np.float32)
