"""Other ways to combine the similarity features: reciprocal-rank fusion and a learned ranking."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingRegressor

from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.relevance import keyword_judgements
from tasks.recommend.scoring import Array, similarity_features

#: Scores (n_queries, n_movies) from similarity features of that shape, by name.
Combination = Callable[[dict[str, Array]], Array]
FUSED = ("content", "words", "title", "hidden", "genre", "year")
RANK_OFFSET = 60  # Cormack, Clarke & Büttcher, 2009; the default of LanceDB's hybrid search
LEARNED_QUERIES, LEARNED_CANDIDATES = 300, 200


def reciprocal_rank_fusion(features: dict[str, Array]) -> Array:
    """Sum over the features of 1 / (60 + rank)."""
    fused = sum(
        1 / (RANK_OFFSET + rankdata(-features[name], axis=1, method="average")) for name in FUSED
    )
    scores: Array = np.asarray(fused, np.float32)
    return scores


def learned_ranking(catalogue: Catalogue, queries: Sequence[int]) -> Combination:
    """Boosted trees that predict the keyword relevance of a pair, never falling in a similarity.

    They are fitted on the choosing half of the keyword queries.
    """
    features, gains = _pairs(catalogue, queries)
    model = HistGradientBoostingRegressor(
        monotonic_cst=[1] * len(FUSED), max_iter=150, random_state=0
    ).fit(features, gains)
    return partial(_predict, model)


def _predict(model: HistGradientBoostingRegressor, features: dict[str, Array]) -> Array:
    stacked = np.stack([features[name] for name in FUSED], axis=-1)
    scores: Array = model.predict(stacked.reshape(-1, len(FUSED))).reshape(stacked.shape[:2])
    return scores


def _pairs(catalogue: Catalogue, queries: Sequence[int]) -> tuple[Array, NDArray[np.float32]]:
    """Features (n_pairs, n_features) and keyword relevance of pairs of judged movies.

    The candidates of a query are its most relevant movies and random ones.
    """
    judgements = keyword_judgements(catalogue.movies["keywords"].to_pylist())
    positions = {row: position for position, row in enumerate(judgements.rows.tolist())}
    rows = queries[:: max(1, len(queries) // LEARNED_QUERIES)]
    rng, pairs, gains = np.random.default_rng(0), list[Array](), list[Array]()
    for row in rows:
        relevance = judgements.gains(positions[row])
        best = np.argsort(-relevance)[: LEARNED_CANDIDATES // 2]
        chosen = np.union1d(best, rng.choice(len(relevance), LEARNED_CANDIDATES // 2))
        similarities = similarity_features(
            catalogue.features_of([row]),
            catalogue.features_of(judgements.rows[chosen].tolist()).by_term(),
        )
        pairs.append(np.stack([similarities[name][0] for name in FUSED], axis=-1))
        gains.append(relevance[chosen])
    return np.concatenate(pairs), np.concatenate(gains)
