"""The protocol: what may be fitted or chosen on which movies, and scores at chance level.

A training is repeated after a change of the movies of one split. `tests/support/stored_files.py`
says for every file that a training stores which movies it may depend on.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.data.splits import Split
from tasks.recommend.scoring import FEATURES
from tests.conftest import write_csv
from tests.support.direct_phases import (
    DRAWING,
    WITHOUT_LISTS,
    WITHOUT_SCORES,
    build_models,
)
from tests.support.protocol_movies import (
    PROTOCOL_COLUMNS,
    SENTINEL,
    SHARES,
    Movie,
    protocol_movies,
    split_of,
    with_everything_changed,
    with_other_genres,
)
from tests.support.stored_files import (
    FILES,
    Movies,
    cached_files,
    contents,
    fitted_texts,
    is_record,
    movies_of,
)
from tests.support.trainings import TINY, settings


class Change(NamedTuple):
    """A change of the movies of a split, and the first level of files that may differ after it."""

    change: Callable[[list[Movie], Split], list[Movie]]
    split: Split
    first_level: Movies


CHANGES = {
    "validation movies": Change(with_everything_changed, "validation", Movies.VALIDATION),
    "validation genres": Change(with_other_genres, "validation", Movies.VALIDATION),
    "gate movies": Change(with_everything_changed, "gate", Movies.TEST_WITHOUT_GENRES),
    "gate genres": Change(with_other_genres, "gate", Movies.TEST),
    "test movies": Change(with_everything_changed, "test", Movies.TEST_WITHOUT_GENRES),
    "test genres": Change(with_other_genres, "test", Movies.TEST),
}
Trainings = dict[str, Path]
#: Keywords must not count, whatever their weight, while they judge the lists.
TEXT_WEIGHTS = dict.fromkeys(FEATURES, 0.0)
TEXT_WEIGHTS |= {"content": 1, "words": 1, "title": 5, "hidden": 1, "keywords": 5}


def train_on(movies: list[Movie], folder: Path, skipped: set[str]) -> dict[str, float]:
    """Train under an artifacts root in `folder`; returns the scores.

    The number of words decides the epochs of Doc2Vec. Without early stopping, the weights of the
    network depend on train movies alone. Lists are ranked by texts alone.
    """
    folder.mkdir(parents=True)
    source = write_csv(folder / "movies.csv", movies, PROTOCOL_COLUMNS)
    doc2vec = TINY["doc2vec"] | {"epochs": 20, "min_words": 150_000}
    network = TINY["classifier"] | {"patience": None, "epochs": 10}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOMMENDER_ARTIFACTS", str(folder / "artifacts"))
        stages = {"text": SHARES, "doc2vec": doc2vec, "classifier": network, "rank": TEXT_WEIGHTS}
        return build_models(settings(source, **stages), skipped)


def shuffled(movies: list[Movie], columns: Collection[str]) -> list[Movie]:
    """Every movie gets these columns of another movie, drawn at random."""
    order = np.random.default_rng(0).permutation(len(movies))
    others = [movies[row] for row in order]
    return [
        movie | {column: other[column] for column in columns}
        for movie, other in zip(movies, others, strict=True)
    ]


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> tuple[Path, dict[str, float]]:
    """The artifacts root and the scores of a training that runs all tasks."""
    folder = tmp_path_factory.mktemp("original") / "training"
    scores = train_on(protocol_movies(), folder, set())
    return folder / "artifacts", scores


@pytest.fixture(scope="module")
def trainings(tmp_path_factory, original) -> Trainings:
    """Artifacts roots of the original training and of those after each change."""
    folder = tmp_path_factory.mktemp("changed")
    for name, (change, split, _) in CHANGES.items():
        train_on(change(protocol_movies(), split), folder / name, WITHOUT_SCORES)
    return {name: folder / name / "artifacts" for name in CHANGES} | {"original": original[0]}


def changed_files(trainings: Trainings, name: str) -> set[str]:
    """Files of a training, records apart, that differ from those of the original."""
    before, after = contents(trainings["original"]), contents(trainings[name])
    return {file for file in after if after[file] != before[file]}


def test_every_stored_file_says_which_movies_it_may_depend_on(original):
    root, _ = original
    names = {name for name, _ in cached_files(root) if not is_record(name)}
    assert {movies_of(name) for name in names} == set(Movies)
    assert {path.name for path in root.iterdir()} == {"cache", "lancedb"}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_depends_on_no_other_movies(trainings, change):
    first_level = CHANGES[change].first_level
    changed = changed_files(trainings, change)
    assert {name for name in changed if movies_of(name) < first_level} == set()


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_training_stores_every_fitted_file(trainings, change):
    fitted = {name for name, level in FILES.items() if level <= Movies.VALIDATION}
    assert fitted <= contents(trainings[change]).keys()


@pytest.mark.parametrize(
    ("change", "highest"),
    [
        ("validation movies", Movies.TRAIN),
        ("gate movies", Movies.VALIDATION),
        ("test movies", Movies.VALIDATION),
    ],
)
def test_a_word_or_name_of_other_movies_is_in_no_fitted_file(trainings, change, highest):
    texts = fitted_texts(trainings[change], highest)
    assert [name for name, text in texts.items() if SENTINEL in text] == []


def test_words_and_names_of_train_movies_are_in_the_fitted_files(original):
    """So that the test before this one looks where words are."""
    texts = fitted_texts(original[0], Movies.VALIDATION)
    terms = {
        "doc2vec/vocabulary.parquet": "ghost",
        "labels/classes.json": "horror",
        "lexicon/keywords.parquet": "ghost",
        "lexicon/lexicon.json": "horror",
        "lexicon/people.parquet": "star of horror",
        "lexicon/pooling.parquet": "ghost",
        "lexicon/titles.parquet": "horror",
        "lexicon/words.parquet": "ghost",
        "network/thresholds.json": "horror",
        "linear/terms.parquet": "ghost",
        "network/words.parquet": "ghost",
        "ensemble/words.parquet": "ghost",
        "ensemble/terms.parquet": "ghost",
    }
    assert [name for name, term in terms.items() if term not in texts[name]] == []


def test_validation_genres_choose_calibration_and_thresholds_alone(trainings):
    changed = changed_files(trainings, "validation genres")
    assert {name for name in changed if movies_of(name) <= Movies.VALIDATION} == {
        "network/config.json",
        "network/history.parquet",
        "network/thresholds.json",
        "ensemble/config.json",
        "ensemble/history.parquet",
        "ensemble/thresholds.json",
    }


@pytest.mark.parametrize("change", ["gate movies", "gate genres"])
def test_movies_of_the_gate_are_in_no_reported_score_of_genres(trainings, change):
    changed = {name.split("/")[0] for name in changed_files(trainings, change)}
    assert not changed & {"baselines", "network", "ensemble", "linear", "scores"}
    assert "documents" in changed


@pytest.mark.parametrize("split", ["validation", "gate", "test"])
def test_index_rows_of_other_movies_stay(trainings, split):
    before = index_rows_outside(trainings["original"], split)
    assert len(before) > 200
    assert index_rows_outside(trainings[f"{split} movies"], split) == before


def index_rows_outside(root: Path, split: str) -> list[dict[str, Any]]:
    (file,) = (root / "cache" / "rows").glob("*/rows.parquet")
    return [row for row in pq.read_table(file).to_pylist() if split_of(row["overview"]) != split]


def test_changed_movies_change_the_files_about_them(trainings):
    """So that a change that changes nothing cannot pass."""
    about_all_movies = {"documents/movies-00000.parquet", "labels/labels.npy"}
    assert about_all_movies <= changed_files(trainings, "test movies")
    assert "vectors/movies-00000.parquet" in changed_files(trainings, "test movies")
    assert about_all_movies <= changed_files(trainings, "test genres")


def test_genres_are_predicted_and_lists_are_relevant(original):
    """What the next tests compare chance with."""
    _, scores = original
    assert scores["test_f1_micro"] > 0.9
    assert scores["test_average_precision_macro"] > 0.9
    assert scores["rec_keyword_ndcg_at_10"] > 0.9
    assert scores["rec_franchise_recall_at_10"] > 0.9


def test_shuffled_genres_are_predicted_at_chance(tmp_path):
    """If they could still be predicted, test genres would be in texts or in the training."""
    movies = shuffled(protocol_movies(), ["genres"])
    require_genres_at_chance(train_on(movies, tmp_path / "m", WITHOUT_LISTS))


def test_shuffled_texts_score_at_chance(tmp_path):
    """If a list were still relevant, the ranking by texts would know what judges it."""
    movies = shuffled(protocol_movies(), ["title", "overview"])
    scores = train_on(movies, tmp_path / "m", DRAWING | {"build-index"})
    require_genres_at_chance(scores)
    for metric in ("keyword_ndcg_at_10", "franchise_recall_at_10"):
        assert scores[f"rec_{metric}"] <= scores[f"rec_baseline_random_{metric}"] + 0.1, metric


def require_genres_at_chance(scores: dict[str, float]) -> None:
    """A movie has 1.2 of 3 genres: by chance, the average precision is 0.4."""
    prior = scores["baseline_prior_f1_micro"]
    assert scores["test_f1_micro"] <= prior + 0.05
    assert scores["baseline_tfidf_f1_micro"] <= prior + 0.05
    assert scores["test_average_precision_macro"] < 0.6
