"""Genres of the training movies -> how well two genres go together in one list.

The cosine of genre vectors only rewards common genres. A list for a family film then contains
horror films whose words match: nothing in the cosine says that the two never go together.
"""

import numpy as np
from numpy.typing import NDArray

MAX_LIFT = 0.1  # pairs that occur together this much less often than by chance clash
MIN_EXPECTED = 20  # movies with both genres by chance, for a pair to be judged
MAX_CLASHES = 3  # a genre that clashes with more is a form, such as Documentary, for any theme
CLASH_PENALTY = 4.0  # against 1 for a common genre


def genre_affinity(labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Matrix (n_genres, n_genres) of 1 on the diagonal and -`CLASH_PENALTY` for pairs that clash.

    `labels` (n_movies, n_genres) are those of the training movies. A movie's genre vector times
    this matrix, times the vector of another movie, is their similarity.
    """
    together = labels.T.astype(np.float64) @ labels
    counts = labels.sum(axis=0, dtype=np.float64)
    expected = np.outer(counts, counts) / max(1, len(labels))
    clashes = (together < MAX_LIFT * expected) & (expected >= MIN_EXPECTED)
    is_form = clashes.sum(axis=0) > MAX_CLASHES
    clashes &= ~is_form[:, None] & ~is_form[None, :]
    affinity: NDArray[np.float32] = np.eye(len(counts)) - CLASH_PENALTY * clashes
    return affinity.astype(np.float32)
