import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.compute import Compute
from tasks.core.contracts import DocumentsRef, IndexRef, KnownItemsRef, RatingsRef, ScoresRef
from tasks.core.storage import store
from tasks.data.companions.reference_files import find_known_items
from tasks.data.preprocess import TextConfig
from tasks.data.splits import FITTED_KEYS, NO_YEAR, movie_keys, split_of_overview
from tasks.recommend.evaluation import list_evaluation
from tasks.recommend.evaluation.baseline_rankers import RECOMMENDER
from tasks.recommend.evaluation.list_evaluation import Judgements, score_for_gate
from tasks.recommend.evaluation.relevance import Half
from tasks.recommend.model_folders import ModelFolders
from tasks.recommend.scoring import RankConfig
from tasks.registry import challenge as challenge_module
from tasks.registry.challenge import (
    LISTS_BESIDE,
    Opponent,
    PairedPredictions,
    _compare_recommendations,
    best_opponents,
    compare_genres,
    compare_lists,
    join_comparisons,
    join_lists,
    movies_to_compare,
    predict_both,
    to_opponent,
)
from tasks.registry.champion import Champion
from tasks.registry.champion_check import CheckedVersion
from tasks.registry.gate import Comparison
from tests.conftest import movie, write_csv
from tests.support.evaluated_lists import documents_of, evaluate
from tests.support.index_rows import GENRES, TITLES, rows
from tests.support.judgements import HALVES, names_of_half, write_ratings
from tests.support.stored import stored_table
from tests.support.text_models import WORDS_ALONE, WordModel

BY_VOTES = WORDS_ALONE.model_copy(update={"words": 0.0, "votes": 1.0, "diversity": 0.0})
#: Half width of the interval of equal scores, times the number of observations.
ROOM = -math.log(0.025)
ALL_SPLITS = ("train", "validation", "gate", "test")


def paired(y_true: np.ndarray, champion: np.ndarray, challenger: np.ndarray) -> PairedPredictions:
    """Predictions of both models for movies that are each about a film of their own."""
    films = np.arange(len(y_true), dtype=np.int32)
    return PairedPredictions(y_true, champion, challenger, films)


def values(comparison: Comparison) -> dict[str, float]:
    return comparison.model_dump(exclude={"score", "opponent", "is_best"})


def noisy_predictions(accuracy: float, y_true: np.ndarray, seed: int) -> np.ndarray:
    flipped = np.random.default_rng(seed).random(y_true.shape) > accuracy
    return np.where(flipped, 1 - y_true, y_true).astype(np.uint8)


def test_a_better_model_is_significantly_better_and_an_equal_one_is_not():
    y_true = (np.random.default_rng(0).random((400, 6)) < 0.3).astype(np.uint8)
    good, poor = noisy_predictions(0.95, y_true, 1), noisy_predictions(0.8, y_true, 2)
    micro, macro = compare_genres(paired(y_true, champion=poor, challenger=good))
    assert micro.low > 0.05
    assert macro.difference == pytest.approx(macro.challenger - macro.champion)
    equal, _ = compare_genres(paired(y_true, champion=good, challenger=good))
    assert (equal.difference, equal.low, equal.high) == pytest.approx((0, -ROOM / 400, ROOM / 400))
    assert equal.observations == 400


def test_movies_about_a_film_count_as_one_observation():
    """Every movie has a copy: the interval is as wide as without the copies."""
    y_true = (np.random.default_rng(0).random((100, 3)) < 0.3).astype(np.uint8)
    labels = [y_true, noisy_predictions(0.8, y_true, 1), noisy_predictions(0.9, y_true, 2)]
    micro, macro = compare_genres(paired(*labels))
    films = np.tile(np.arange(100, dtype=np.int32), 2)
    copied = PairedPredictions(*(np.concatenate([part, part]) for part in labels), films)
    micro_of_copies, macro_of_copies = compare_genres(copied)
    assert values(micro_of_copies) == pytest.approx(values(micro))
    assert values(macro_of_copies) == pytest.approx(values(macro))


def model(*genres: str) -> SimpleNamespace:
    """A model that predicts its genres for every movie."""
    return SimpleNamespace(
        classes=sorted(genres),
        predict_genres=lambda titles, *_: [SimpleNamespace(genres=list(genres)) for _ in titles],
    )


def test_movies_without_a_genre_of_either_model_are_not_compared():
    movies = pa.table(
        {
            "title": ["Alien", "Jazz", "Up", "alien"],
            "year": pa.array([1979, 2000, 2009, 1979], pa.int16()),
            "overview": ["a", "b", "c", "d"],
            "keywords": pa.array([[]] * 4, pa.list_(pa.string())),
            "genres": [["Horror"], ["Music"], ["Family"], ["Horror"]],
        }
    )
    predictions = predict_both(movies, champion=model("Horror"), challenger=model("Family"))
    assert predictions.y_true.tolist() == [[0, 1], [1, 0], [0, 1]]
    assert predictions.champion.tolist() == [[0, 1]] * 3
    assert predictions.challenger.tolist() == [[1, 0]] * 3
    alien, up, alien_again = predictions.films
    assert alien == alien_again != up


def films(*movies: tuple[str, int | None, str]) -> pa.Table:
    titles, years, overviews = zip(*movies, strict=True)
    columns = {"title": titles, "year": pa.array(years, pa.int16()), "overview": overviews}
    return pa.table(columns)


def keys_of(movies: pa.Table) -> np.ndarray:
    """Keys of the movies that a model was fitted on, as `assign_splits` stores them."""
    keys = np.unique(movie_keys(movies))
    return keys[keys != NO_YEAR]


def titles_compared(movies: pa.Table, fitted_keys: np.ndarray | None) -> list[str]:
    gate = movies.append_column("split", pa.array(["gate"] * movies.num_rows))
    return movies_to_compare(gate, TextConfig(), fitted_keys)["title"].to_pylist()


@pytest.mark.parametrize(
    ("fitted", "is_compared"),
    [
        *((("Up", 2009, "Balloons."), False), (("UP!", 2009, "Other words."), False)),
        *((("Là-haut", 2010, "  BALLOONS"), False), (("Up", 2010, "Other words."), True)),
        (("Up", None, "Other words."), True),
    ],
)
def test_a_movie_on_whose_film_the_champion_was_fitted_is_not_compared(fitted, is_compared):
    """Two texts are about one film if they, or their titles and years, are equal."""
    movies = films(("Alien", 1979, "A ship."), ("Up", 2009, "Balloons."))
    expected = ["Alien", "Up"] if is_compared else ["Alien"]
    assert titles_compared(movies, keys_of(films(fitted))) == expected


def test_movies_without_a_year_are_not_taken_for_each_other():
    movies = films(("Up", None, "Balloons."), ("Jaws", None, "A shark."))
    assert titles_compared(movies, keys_of(films(("Up", None, "Other words.")))) == ["Up", "Jaws"]


def test_movies_of_the_gate_alone_are_compared():
    movies = films(*((f"Film {split}", 2000, split) for split in ALL_SPLITS))
    documents = movies.append_column("split", pa.array(ALL_SPLITS))
    nothing = np.array([], np.uint64)
    assert movies_to_compare(documents, TextConfig(), nothing)["title"].to_pylist() == ["Film gate"]
    assert set(movies_to_compare(documents, TextConfig(), None)["title"].to_pylist()) <= {
        "Film gate"
    }


@pytest.mark.parametrize(("validation_share", "test_share"), [(0.1, 0.1), (0.3, 0.05)])
def test_train_movies_of_an_early_champion_are_known_by_their_texts(validation_share, test_share):
    """It stored no keys, and had no gate: test and validation movies came first."""
    movies = films(*((f"Film {number}", 2000, f"Story {number}.") for number in range(300)))
    documents = movies.append_column("split", pa.array(["gate"] * 300))
    shares = {"validation_share": validation_share, "test_share": test_share}
    compared = movies_to_compare(documents, TextConfig(**shares), None)["overview"].to_pylist()
    without_gate = TextConfig(**shares, gate_share=1e-9)
    assert compared == [
        overview
        for overview in documents["overview"].to_pylist()
        if split_of_overview(overview, without_gate) != "train"
    ]
    assert len(compared) == pytest.approx(300 * (validation_share + test_share), abs=25)


def test_f1_of_both_models_is_that_of_their_predictions():
    """Of two movies, the champion has one of each genre wrong, the challenger one alone."""
    y_true = np.array([[1, 0], [0, 1]], np.uint8)
    champion = np.array([[1, 1], [0, 0]], np.uint8)
    challenger = np.array([[1, 0], [0, 0]], np.uint8)
    micro, macro = compare_genres(paired(y_true, champion, challenger))
    assert (micro.score, macro.score) == ("f1_micro", "f1_macro")
    assert (micro.champion, micro.challenger) == pytest.approx((1 / 2, 2 / 3))
    assert (macro.champion, macro.challenger) == pytest.approx((1 / 2, 1 / 2))
    assert (micro.difference, macro.difference) == pytest.approx((1 / 6, 0))


def test_a_better_mean_of_a_ranking_metric_is_a_positive_difference():
    result = compare_lists("m", champion=np.array([0.2, 0.4]), challenger=np.array([0.5, 0.7]))
    assert (result.champion, result.challenger) == pytest.approx((0.3, 0.6))
    assert result.difference == pytest.approx(0.3)
    assert (result.low, result.high) == pytest.approx((0.3 - ROOM / 2, 0.3 + ROOM / 2))


def test_the_interval_of_a_ranking_metric_is_that_of_paired_differences():
    champion = np.random.default_rng(0).random(20_000).astype(np.float32)
    result = compare_lists("colike_ndcg_at_10", champion, champion + np.float32(0.01))
    assert result.score == "colike_ndcg_at_10"
    assert result.difference == pytest.approx(0.01, abs=1e-6)
    assert (result.low, result.high) == pytest.approx((0.01 - ROOM / 20_000, 0.01 + ROOM / 20_000))
    assert result.observations == 20_000


def test_queries_of_a_franchise_count_as_one_observation():
    """Every query has a copy: the interval is as wide as without the copies."""
    champion, challenger = np.random.default_rng(0).random((2, 100))
    alone = compare_lists("m", champion, challenger)
    copies = [np.concatenate([scores, scores]) for scores in (champion, challenger)]
    clustered = compare_lists("m", *copies, clusters=[*range(100)] * 2)
    assert values(clustered) == pytest.approx(values(alone))


def test_judgements_without_a_group_of_users_widen_the_interval():
    """The first column has the scores by all users; they alone are the metric."""
    champion, challenger = np.random.default_rng(0).random((2, 100))
    alone = compare_lists("m", champion, challenger)
    groups = [(champion, challenger + shift) for shift in (0.0, -0.2, 0.2)]
    by_group = [np.column_stack(columns) for columns in zip(*groups, strict=True)]
    widened = compare_lists("m", *by_group)
    assert (widened.champion, widened.challenger) == (alone.champion, alone.challenger)
    assert widened.low < alone.low < alone.high < widened.high
    assert widened.error > alone.error


def lists_compared(
    table: pa.Table,
    champion: WordModel,
    rank: RankConfig,
    judgements: Judgements = Judgements(None, None),  # noqa: B008 - it is immutable
) -> tuple[dict[str, Comparison], pa.Table]:
    """Comparisons by metric of a challenger that ranks by words with a champion; sample lists."""
    results: list[Comparison] = []

    def write(writer: store.EntryWriter) -> ScoresRef:
        results.extend(
            _compare_recommendations(
                documents=documents_of(table),
                champion=Champion(index=IndexRef(uri="u", tag="t"), rank=rank, run_id="1"),
                model=champion,
                judgements=judgements,
                lists=evaluate(table, **judgements._asdict()),
                writer=writer,
            )
        )
        return writer.folder_ref(ScoresRef)

    folder = store.locate(store.get_or_create("challenge", [], ScoresRef, write))
    by_metric = {row.score: row for row in results}
    assert len(by_metric) == len(results)
    return by_metric, pq.read_table(folder / "lists_beside.parquet")


def one_collection(half: Half = "choosing") -> pa.Table:
    """Movies with the same keywords; the first ten are of one collection, of a half."""
    collection = names_of_half("Saga", half, 1) * 10 + [None] * (len(TITLES) - 10)
    return rows(TITLES, keywords=[list("abcde")] * len(TITLES), collection=collection)


def test_lists_of_both_versions_are_compared_on_the_same_queries():
    """The champion ranks by votes, and the movies of the collection have the fewest."""
    by_metric, sample = lists_compared(one_collection(), WordModel(), BY_VOTES)
    assert set(by_metric) == {"keyword_ndcg_at_10", "franchise_recall_at_10"}
    assert by_metric["keyword_ndcg_at_10"].difference == 0
    franchise = by_metric["franchise_recall_at_10"]
    assert franchise.champion < franchise.challenger
    (toy_story,) = (row for row in sample.to_pylist() if row["film"] == "Toy Story")
    assert toy_story["champion"][0].startswith("!!!")
    assert not toy_story["challenger"][0].startswith("!!!")


@pytest.mark.parametrize("half", HALVES)
def test_lists_are_compared_on_the_queries_of_the_choosing_half(half):
    by_metric, _ = lists_compared(one_collection(half), WordModel(), BY_VOTES)
    assert ("franchise_recall_at_10" in by_metric) == (half == "choosing")


def test_queries_of_a_franchise_are_compared_together():
    """All ten queries are of one collection, so that they are a single observation."""
    by_metric, _ = lists_compared(one_collection(), WordModel(), BY_VOTES)
    assert by_metric["franchise_recall_at_10"].observations == 1
    assert by_metric["keyword_ndcg_at_10"].observations > 1


def test_a_champion_that_ranks_by_keywords_is_not_compared_by_them():
    by_metric, _ = lists_compared(one_collection(), WordModel(keywords=True), BY_VOTES)
    assert list(by_metric) == ["franchise_recall_at_10"]


@pytest.fixture
def question(tmp_path) -> Judgements:
    """A question for a movie of the choosing half."""
    source = write_csv(tmp_path / "m.csv", [movie(0, "Horror")])
    (tmp_path / "known_items.csv").write_text("id,query\n18,word1 word3\n")
    return Judgements(None, find_known_items([str(source)]))


def test_answers_to_questions_are_compared(question):
    """The champion ranks movies by votes, but texts by their words, as the challenger does."""
    by_metric, _ = lists_compared(one_collection(), WordModel(), BY_VOTES, question)
    answers = by_metric["known_item_recall_at_10"]
    assert (answers.champion, answers.challenger) == (1, 1)


def test_lists_of_the_champion_are_as_diverse_as_its_settings(question, monkeypatch):
    diversities = []

    def recorded(name: str):
        function = getattr(list_evaluation, name)

        def record(*arguments: Any) -> Any:
            diversities.append((name, arguments[3]))
            return function(*arguments)

        monkeypatch.setattr(list_evaluation, name, record)

    recorded("score_movies")
    recorded("score_known_items")
    diverse = BY_VOTES.model_copy(update={"diversity": 0.5})
    lists_compared(one_collection(), WordModel(), diverse, question)
    assert diversities[-2:] == [("score_movies", 0.5), ("score_known_items", 0.5)]
    assert ("score_movies", 0.5) not in diversities[:-2]


def test_ratings_judge_both_versions(tmp_path):
    """Twelve users like the first thirty of 120 movies, and these share their words."""
    table = rows([f"Film {number}" for number in range(120)])
    ratings = Judgements(write_ratings(tmp_path), None)
    by_metric, _ = lists_compared(table, WordModel(), WORDS_ALONE, ratings)
    assert set(by_metric) == {"colike_matched_auc", "colike_ndcg_at_10"}
    assert all(row.difference == 0 for row in by_metric.values())
    assert all(
        row.high == -row.low == pytest.approx(ROOM / row.observations) for row in by_metric.values()
    )


class GenreModel(WordModel):
    """Predicts one genre for every movie."""

    def __init__(self, genre: str) -> None:
        super().__init__()
        self.genre, self.classes = genre, GENRES
        self.text = TextConfig()

    def predict_genres(self, titles: list[str], *_: list[str]) -> list[SimpleNamespace]:
        return [SimpleNamespace(genres=[self.genre]) for _ in titles]


@pytest.fixture
def models(monkeypatch) -> dict[str, GenreModel]:
    """Models by the folder from which they are read; no artifact is shown."""
    models = {"old": GenreModel("Horror"), "new": GenreModel("War")}
    monkeypatch.setattr(challenge_module, "TextModel", lambda folders: models[folders.doc2vec.name])
    monkeypatch.setattr(challenge_module, "show_table", lambda *_, **__: None)
    return models


def challenged(documents: DocumentsRef, **arguments: Any) -> ScoresRef:
    """The comparison of a model `new` with the champion `old`, without judgements but keywords."""
    without_judgements = {"ratings": None, "known_items": None, "opponent": opponent()}
    return challenge_module.challenge.fn(
        documents=documents,
        challenger=folders("new"),
        compute=Compute(),
        **without_judgements | arguments,
    )


def folders(doc2vec: str) -> ModelFolders:
    return ModelFolders.of(Path(doc2vec), Path("c"), Path("l"))


def opponent(**changed: Any) -> Opponent:
    """The champion `old`, version 7."""
    index = IndexRef(uri="u", tag="t")
    champion = Champion(index=index, rank=WORDS_ALONE, run_id="1", version="7")
    return Opponent(champion=champion, folders=folders("old")).model_copy(update=changed)


def test_test_movies_are_in_no_list_of_the_gate():
    """Their genres are a feature of their ranking. Three of ten movies of a collection are."""
    table = one_collection()
    splits = pa.chunked_array([["test"] * 3 + ["train"] * (table.num_rows - 3)])
    scored = score_for_gate(table, splits, WORDS_ALONE, WordModel(), Judgements(None, None))
    assert len(scored.query_scores[RECOMMENDER]["franchise_recall_at_10"]) == 7
    assert len(scored.clusters["franchise_recall_at_10"]) == 7


def test_predictions_and_lists_of_a_challenger_are_compared(models, tmp_path):
    """All movies are Horror or War in turn; the champion predicts Horror, the challenger War.

    Every third movie is in the gate, but the champion was fitted on another text about the second
    of these: four of the six others are Horror.
    """
    table = one_collection()
    splits = ["train" if row % 3 else "gate" for row in range(len(TITLES))]
    documents = stored_table(
        DocumentsRef,
        store.read(documents_of(table))
        .drop_columns(["split"])
        .append_column("year", table["year"])
        .append_column("genres", pa.array([[GENRES[row % 2]] for row in range(len(TITLES))]))
        .append_column("split", pa.array(splits)),
    )
    keys = tmp_path / FITTED_KEYS
    np.save(keys, keys_of(films((TITLES[3], table["year"][3].as_py(), "Other words."))))
    compared = challenged(documents, lists=evaluate(table), opponent=opponent(fitted_keys=keys))
    assert compared.rows == 6
    metrics = store.read_json(store.locate(compared) / "metrics.json")
    assert metrics["gate_f1_micro_champion"] == pytest.approx(2 / 3)
    assert metrics["gate_f1_micro"] == pytest.approx(1 / 3)
    assert metrics["gate_f1_micro_difference"] == pytest.approx(-1 / 3)
    assert metrics["gate_franchise_recall_at_10_difference"] == 0
    gate = pq.read_table(store.locate(compared) / "gate.parquet")
    assert gate.schema.equals(challenge_module.COMPARED)
    stored = [Comparison.model_validate(row) for row in gate.to_pylist()]
    assert {row.score: row.difference for row in stored} == {
        name.removeprefix("gate_").removesuffix("_difference"): value
        for name, value in metrics.items()
        if name.endswith("_difference")
    }
    assert stored[0].observations == 6
    assert {(row.opponent, row.is_best) for row in stored} == {("7", False)}


def gate_movies(table: pa.Table) -> DocumentsRef:
    """Documents of a catalogue, all of the gate, each with a genre."""
    documents = store.read(documents_of(table)).drop_columns(["split"])
    for name, column in {
        "year": table["year"],
        "genres": pa.array([["War"]] * table.num_rows),
        "split": pa.array(["gate"] * table.num_rows),
    }.items():
        documents = documents.append_column(name, column)
    return stored_table(DocumentsRef, documents)


@pytest.mark.parametrize(
    "metrics", [("f1_micro",), ("franchise_recall_at_10",), ("f1_micro", "keyword_ndcg_at_10")]
)
def test_with_the_best_version_only_the_metrics_are_compared_in_which_it_is_best(
    models, monkeypatch, metrics
):
    """Its lists are not shown, and its rows say whose they are."""
    table = one_collection()
    if metrics == ("f1_micro",):
        monkeypatch.setattr(challenge_module, "score_for_gate", lambda *_: pytest.fail("scored"))
    monkeypatch.setattr(challenge_module, "show_table", lambda *_, **__: pytest.fail("shown"))
    best = opponent(metrics=metrics, is_best=True)
    compared = challenged(gate_movies(table), lists=evaluate(table), opponent=best)
    rows = pq.read_table(store.locate(compared) / "gate.parquet").to_pylist()
    assert (compared.rows > 0) == ("f1_micro" in metrics)
    assert [row["score"] for row in rows] == list(metrics)
    assert {(row["opponent"], row["is_best"]) for row in rows} == {("7", True)}


def test_the_best_versions_are_opponents_by_the_metrics_in_which_they_are_best():
    champion = opponent().champion.model_copy(
        update={"best": {"f1_micro": "3", "keyword_ndcg_at_10": "5", "colike_matched_auc": "3"}}
    )
    best = [
        CheckedVersion(version=number, champion=champion, folders=folders(number))
        for number in ("3", "5")
    ]
    damaged = CheckedVersion(version="6", damage="its index is empty")
    opponents = best_opponents(champion, [*best, damaged])
    assert [(version.folders, version.metrics, version.is_best) for version in opponents] == [
        (folders("3"), ("f1_micro", "colike_matched_auc"), True),
        (folders("5"), ("keyword_ndcg_at_10",), True),
    ]


@pytest.mark.parametrize("known", [set(), {"champion"}, {"folders"}])
def test_a_missing_or_damaged_champion_is_no_opponent(known):
    champion = {"champion": opponent().champion, "folders": folders("3")}
    parts = {name: value for name, value in champion.items() if name in known}
    assert to_opponent(CheckedVersion(version="3", damage="lost", **parts)) is None


def test_an_opponent_has_the_keys_of_the_films_it_was_fitted_on():
    checked = CheckedVersion(
        version="3",
        champion=opponent().champion,
        folders=folders("3"),
        fitted_keys=Path("keys.npy"),
    )
    assert to_opponent(checked).fitted_keys == Path("keys.npy")


def test_comparisons_with_the_best_versions_stand_below_those_with_the_champion(models, artifacts):
    """The lists beside those of the challenger are the champion's."""
    table = one_collection()
    documents, lists = gate_movies(table), evaluate(table)
    best = opponent(metrics=("f1_micro",), is_best=True)
    with_champion, with_best = (
        challenged(documents, lists=lists, opponent=other) for other in (opponent(), best)
    )
    joined = store.locate(join_comparisons.fn(with_champion, [with_best]))
    rows = pq.read_table(joined / "gate.parquet").to_pylist()
    assert rows[-1]["is_best"]
    assert rows[:-1] == pq.read_table(store.locate(with_champion) / "gate.parquet").to_pylist()
    for name in ("metrics.json", "lists_beside.parquet"):
        expected = (store.locate(with_champion) / name).read_bytes()
        assert (joined / name).read_bytes() == expected


def test_other_fitted_movies_are_compared_again(models, tmp_path):
    """The challenger is then compared on other movies."""
    table, keys = one_collection(), tmp_path / FITTED_KEYS
    documents, lists, numbers = gate_movies(table), evaluate(table), []
    of_the_first = keys_of(films((TITLES[0], table["year"][0].as_py(), "Other words.")))
    for fitted in (np.array([], np.uint64), of_the_first):
        np.save(keys, fitted)
        compared = challenged(documents, lists=lists, opponent=opponent(fitted_keys=keys))
        numbers.append(compared.rows)
    assert numbers[1] == numbers[0] - 1


def test_without_movies_to_compare_only_the_lists_are_compared(models, monkeypatch, tmp_path):
    """The champion was fitted on every movie. What judges the lists is passed on."""
    inputs, known_items = {}, KnownItemsRef(source="m", file=Path("k"), digest="k")
    ratings = RatingsRef(source="m", files=(Path("r"), Path("l")), digest="r")

    def compare(writer: store.EntryWriter, **arguments: Any) -> list[Comparison]:
        inputs.update(arguments)
        pq.write_table(LISTS_BESIDE.empty_table(), writer.folder / "lists_beside.parquet")
        return []

    monkeypatch.setattr(challenge_module, "_compare_recommendations", compare)
    movies = films(("Up", 2009, "One."))
    columns = {"keywords": [["a"]], "genres": [["War"]], "split": ["gate"]}
    for name, values in columns.items():
        movies = movies.append_column(name, pa.array(values))
    np.save(tmp_path / FITTED_KEYS, keys_of(movies))
    compared = challenged(
        stored_table(DocumentsRef, movies),
        lists=ScoresRef(paths=("l",), digest="l"),
        ratings=ratings,
        known_items=known_items,
        opponent=opponent(fitted_keys=tmp_path / FITTED_KEYS),
    )
    assert inputs["judgements"] == Judgements(ratings, known_items)
    assert inputs["model"] is models["old"]
    assert compared.rows == 0
    gate = pq.read_table(store.locate(compared) / "gate.parquet")
    assert (gate.schema, gate.num_rows) == (challenge_module.COMPARED, 0)
    assert store.read_json(store.locate(compared) / "metrics.json") == {}


def test_changed_questions_are_compared_again(models, monkeypatch):
    """Other questions may give the challenger equal scores, and the champion others."""
    questions_compared = []

    def compare(writer: store.EntryWriter, **inputs: Any) -> ScoresRef:
        questions_compared.append(inputs["known_items"].digest)
        pq.write_table(LISTS_BESIDE.empty_table(), writer.folder / "lists_beside.parquet")
        return writer.folder_ref(ScoresRef)

    monkeypatch.setattr(challenge_module, "_challenge", compare)
    for digest in ("a", "b", "a"):
        challenged(
            DocumentsRef(paths=("d",), digest="d"),
            lists=ScoresRef(paths=("l",), digest="l"),
            known_items=KnownItemsRef(source="m", file=Path("k"), digest=digest),
        )
    assert questions_compared == ["a", "b"]


def test_sample_lists_are_joined_by_film():
    lists = [["Aliens", "Moon"], ["Cars"]]
    challenger = pa.table({"film": ["Alien", "Up"], "movies like it": lists})
    champion = pa.table({"film": ["Alien"], "movies like it": [["The Thing"]]})
    assert join_lists(challenger, champion).to_pylist() == [
        {"film": "Alien", "challenger": ["Aliens", "Moon"], "champion": ["The Thing"]},
        {"film": "Up", "challenger": ["Cars"], "champion": None},
    ]
