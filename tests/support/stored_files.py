"""Which movies each stored file of a training may depend on."""

from collections.abc import Iterator, Mapping
from enum import IntEnum
from fnmatch import fnmatchcase
from pathlib import Path

import pyarrow.parquet as pq

from tasks.core.storage import store
from tasks.core.storage.entry_record import RECORD


class Movies(IntEnum):
    """The movies that a file may depend on; each level includes the levels before it."""

    TRAIN = 1
    VALIDATION = 2
    TEST_WITHOUT_GENRES = 3
    TEST = 4


#: Files of the cache by stage and name. Files of the first two levels are fitted.
FILES: dict[str, Movies] = {
    "doc2vec/config.json": Movies.TRAIN,
    "doc2vec/hidden.npy": Movies.TRAIN,
    "doc2vec/history.parquet": Movies.TRAIN,
    "doc2vec/text.json": Movies.TRAIN,
    "doc2vec/vocabulary.parquet": Movies.TRAIN,
    "labels/classes.json": Movies.TRAIN,
    # the lexicon is a copy of the features of texts, with the projection of the network's weights
    **{
        f"{stage}/{name}": Movies.TRAIN
        for stage in ("text-features", "lexicon")
        for name in (
            *("keywords.parquet", "people.parquet", "pooling.parquet", "titles.parquet"),
            *("words.parquet", "lexicon.json", "projections.npz", "hidden.npz"),
        )
    },
    "linear/terms.parquet": Movies.TRAIN,
    "linear/linear.npz": Movies.VALIDATION,  # C
    "network/weights.npz": Movies.TRAIN,  # without early stopping
    "network/config.json": Movies.VALIDATION,  # calibration
    "network/history.parquet": Movies.VALIDATION,  # loss and F1 of each epoch
    "network/thresholds.json": Movies.VALIDATION,
    "network/words.parquet": Movies.TRAIN,
    "network/word_vectors.npy": Movies.TRAIN,
    "ensemble/weights.npz": Movies.TRAIN,
    "ensemble/words.parquet": Movies.TRAIN,
    "ensemble/word_vectors.npy": Movies.TRAIN,
    "ensemble/terms.parquet": Movies.TRAIN,
    "ensemble/linear.npz": Movies.VALIDATION,
    "ensemble/config.json": Movies.VALIDATION,  # weights of the models, calibration
    "ensemble/history.parquet": Movies.VALIDATION,
    "ensemble/thresholds.json": Movies.VALIDATION,
    "baselines/tfidf.npy": Movies.TEST_WITHOUT_GENRES,  # predictions for test movies
    "checks/metrics.json": Movies.TEST_WITHOUT_GENRES,  # a search among all vectors
    "probabilities/probabilities.npy": Movies.TEST_WITHOUT_GENRES,
    "vectors/*.parquet": Movies.TEST_WITHOUT_GENRES,
    "baselines/metrics.json": Movies.TEST,
    "documents/*.parquet": Movies.TEST,
    "embeddings/movie_embeddings.parquet": Movies.TEST,
    "ingest/*.parquet": Movies.TEST,
    "labels/labels.npy": Movies.TEST,
    "lists/behaviour.parquet": Movies.TEST,
    "lists/metrics.json": Movies.TEST,
    "lists/gate_queries.npz": Movies.TEST,
    "lists/sample_lists.parquet": Movies.TEST,
    "lists/scorers.parquet": Movies.TEST,
    "splits/*.parquet": Movies.TEST,
    "splits/fitted_keys.npy": Movies.VALIDATION,
    "map/map.parquet": Movies.TEST,
    "map/map.png": Movies.TEST,
    "profile/profile.json": Movies.TEST,
    "rows/rows.parquet": Movies.TEST,
    "scores/genres.parquet": Movies.TEST,
    "scores/metrics.json": Movies.TEST,
    "scores/mistakes.parquet": Movies.TEST,
    "scores/slices.parquet": Movies.TEST,
    "scores/test_predictions.parquet": Movies.TEST,
    "genre-figures/*.png": Movies.TEST,
    "list-figures/*.png": Movies.TEST,
}
#: Files that differ between equal runs.
RECORDS = {
    f"*/{RECORD}": "when the entry was written",
    "doc2vec/training.json": "seconds",
    "network/training.json": "seconds and memory",
    "ensemble/training.json": "seconds and memory",
}
#: Stages of the comparison with a champion, which train nothing.
COMPARISONS = {"challenge", "drift", "fetched"}
#: What MLflow has of a run: copies of whole entries by stage, and files about all movies.
LOGGED_STAGES = {"doc2vec", "classifier", "lexicon"}
LOGGED_ABOUT_MOVIES = {
    *("evaluation", "model_card.md", "movie_embeddings.parquet", "report.html", "source"),
}


def cached_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Files of all cache entries, as `stage/name`, without those of writers and locks."""
    cache = root / "cache"
    for path in sorted(cache.glob("[!.]*/[!.]*/**/*")):
        stage, _, *name = path.relative_to(cache).parts
        if path.is_file():
            yield "/".join([stage, *name]), path


def is_record(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in RECORDS)


def movies_of(name: str) -> Movies:
    """What a file may depend on.

    Raises:
        KeyError: a new file of the cache, whose movies `FILES` has to say.
    """
    levels = [level for pattern, level in FILES.items() if fnmatchcase(name, pattern)]
    if len(levels) != 1:
        raise KeyError(f"{name}: add it to FILES with the movies that it may depend on")
    return levels[0]


def contents(root: Path) -> dict[str, tuple[bytes, ...]]:
    """Contents of the cached files by name; of several entries of a stage, sorted."""
    files: dict[str, list[bytes]] = {}
    for name, path in cached_files(root):
        if not is_record(name):
            files.setdefault(name, []).append(path.read_bytes())
    return {name: tuple(sorted(parts)) for name, parts in files.items()}


def fitted_texts(root: Path, highest: Movies) -> Mapping[str, str]:
    """All texts in the tables and JSON files that depend on movies up to a level."""
    texts = {
        name: str(pq.read_table(path).to_pydict())
        if path.suffix == ".parquet"
        else str(store.read_json(path))
        for name, path in cached_files(root)
        if path.suffix in (".parquet", ".json") and not is_record(name)
        if movies_of(name) <= highest
    }
    return {name: text.casefold() for name, text in texts.items()}
