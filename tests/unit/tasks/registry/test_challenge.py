import logging
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
from tasks.data.preprocess import TextConfig, assign_split
from tasks.recommend.model_folders import ModelFolders
from tasks.registry import challenge as challenge_module
from tasks.registry.challenge import (
    GATED,
    METRIC_LABELS,
    Comparison,
    PairedPredictions,
    _compare_recommendations,
    compare_genres,
    compare_lists,
    decision_without_champion,
    join_lists,
    predict_both,
    promotion_decision,
    shared_test_movies,
)
from tasks.registry.champion import Champion
from tasks.registry.champion_check import CheckedChampion
from tests.conftest import movie, write_csv
from tests.support.evaluated_lists import documents_of, evaluate
from tests.support.index_rows import GENRES, TITLES, rows
from tests.support.logs import messages
from tests.support.stored import stored_table
from tests.support.text_models import WORDS_ALONE, WordModel
from tests.unit.tasks.recommend.evaluation.test_query_sets import write_ratings


def comparison(
    metric: str, champion: float, challenger: float, half_width: float = 0.02
) -> Comparison:
    difference = challenger - champion
    return Comparison(
        score=metric,
        champion=champion,
        challenger=challenger,
        difference=difference,
        low=difference - half_width,
        high=difference + half_width,
    )


def test_one_metric_below_the_tolerance_rejects_the_challenger():
    comparisons = [
        comparison("test_f1_micro", 0.6, 0.7),
        comparison("test_f1_macro", 0.5, 0.488),
    ]
    decision = promotion_decision(comparisons, tolerance=0.01, same_source=False)
    assert not decision.promote
    assert decision.why == "F1 macro is 0.012 lower than the champion's (tolerance 0.01)"
    assert promotion_decision(comparisons, tolerance=0.03, same_source=False).promote


def test_every_metric_below_the_tolerance_is_named():
    comparisons = [
        comparison("rec_franchise_recall_at_10", 0.9, 0.8),
        comparison("rec_keyword_ndcg_at_10", 0.5, 0.3),
    ]
    decision = promotion_decision(comparisons, tolerance=0.05, same_source=True)
    assert decision.why == (
        "franchise recall@10 is 0.100 lower and keyword nDCG@10 is 0.200 lower than the champion's "
        "(tolerance 0.05)"
    )


@pytest.mark.parametrize("metric", sorted(set(METRIC_LABELS) - set(GATED)))
def test_a_metric_outside_the_gate_is_reported_and_decides_nothing(metric):
    much_worse, much_better = comparison(metric, 0.9, 0.1), comparison(metric, 0.1, 0.9)
    decision = promotion_decision([much_worse], tolerance=0.01, same_source=False)
    assert decision.promote
    assert decision.comparisons == (much_worse,)
    assert not promotion_decision([much_better], tolerance=0.01, same_source=True).promote


def test_the_gate_decides_by_genres_keywords_and_franchises():
    assert set(GATED) == {
        *("test_f1_micro", "test_f1_macro"),
        *("rec_keyword_ndcg_at_10", "rec_franchise_recall_at_10"),
    }


def test_on_the_same_source_only_a_significant_improvement_is_promoted():
    within_noise = [comparison("test_f1_micro", 0.6, 0.61, half_width=0.02)]
    decision = promotion_decision(within_noise, tolerance=0.01, same_source=True)
    assert not decision.promote
    assert decision.why == (
        "no metric is significantly better than the champion's on the same source"
    )
    significant = [comparison("test_f1_micro", 0.6, 0.61, half_width=0.005)]
    decision = promotion_decision(significant, tolerance=0.01, same_source=True)
    assert decision.promote
    assert decision.why == "F1 micro is 0.010 higher than the champion's (significant at 95%)"


def test_every_better_metric_is_named():
    comparisons = [comparison("test_f1_micro", 0.5, 0.6), comparison("test_f1_macro", 0.4, 0.5)]
    assert promotion_decision(comparisons, tolerance=0.01, same_source=True).why == (
        "F1 micro is 0.100 higher and F1 macro is 0.100 higher than the champion's "
        "(significant at 95%)"
    )


def test_on_a_new_source_a_challenger_without_a_worse_metric_is_promoted():
    comparisons = [comparison("test_f1_micro", 0.6, 0.595)]
    decision = promotion_decision(comparisons, tolerance=0.01, same_source=False)
    assert decision.promote
    assert decision.why == "no metric is worse than the champion's, and the source is new"
    assert promotion_decision([], tolerance=0.01, same_source=False).promote


def test_the_first_version_is_promoted():
    decision = decision_without_champion(CheckedChampion())
    assert (decision.promote, decision.why) == (True, "no earlier champion")


def test_a_damaged_champion_is_replaced_and_named():
    decision = decision_without_champion(CheckedChampion(version="3", damage="its index is empty"))
    assert (decision.promote, decision.champion_is_damaged) == (True, True)
    assert decision.why == "the champion (version 3) cannot be compared: its index is empty"


def noisy_predictions(accuracy: float, y_true: np.ndarray, seed: int) -> np.ndarray:
    flipped = np.random.default_rng(seed).random(y_true.shape) > accuracy
    return np.where(flipped, 1 - y_true, y_true).astype(np.uint8)


def test_a_better_model_is_significantly_better_and_an_equal_one_is_not():
    y_true = (np.random.default_rng(0).random((400, 6)) < 0.3).astype(np.uint8)
    good, poor = noisy_predictions(0.95, y_true, 1), noisy_predictions(0.8, y_true, 2)
    micro, macro = compare_genres(PairedPredictions(y_true, champion=poor, challenger=good))
    assert micro.low > 0.05
    assert macro.difference == pytest.approx(macro.challenger - macro.champion)
    equal, _ = compare_genres(PairedPredictions(y_true, champion=good, challenger=good))
    assert (equal.difference, equal.low, equal.high) == (0, 0, 0)


def model(*genres: str) -> SimpleNamespace:
    """A model that predicts its genres for every movie."""
    return SimpleNamespace(
        classes=sorted(genres),
        predict_genres=lambda titles, *_: [SimpleNamespace(genres=list(genres)) for _ in titles],
    )


def test_movies_without_a_genre_of_either_model_are_not_compared():
    movies = pa.table(
        {
            "title": ["Alien", "Up", "Jazz"],
            "overview": ["", "", ""],
            "keywords": pa.array([[], [], []], pa.list_(pa.string())),
            "genres": [["Horror"], ["Family"], ["Music"]],
        }
    )
    predictions = predict_both(movies, champion=model("Horror"), challenger=model("Family"))
    assert predictions.y_true.tolist() == [[0, 1], [1, 0]]
    assert predictions.champion.tolist() == [[0, 1], [0, 1]]
    assert predictions.challenger.tolist() == [[1, 0], [1, 0]]


def test_only_test_movies_of_both_models_are_compared():
    """With a test share of 0.3 the champion has trained on some test movies of 0.5."""
    overviews = [f"overview {number}" for number in range(200)]
    splits = [assign_split(overview, 0.2, 0.5) for overview in overviews]
    documents = pa.table({"overview": overviews, "split": splits})
    champion = SimpleNamespace(text=TextConfig(validation_share=0.4, test_share=0.3))
    shared = shared_test_movies(documents, champion)
    expected = [text for text in overviews if assign_split(text, 0.4, 0.3) == "test"]
    assert shared["overview"].to_pylist() == expected
    assert 0 < len(expected) < splits.count("test")
    champion = SimpleNamespace(text=TextConfig(validation_share=0.2, test_share=0.4))
    documents = documents.set_column(1, "split", [["train"] * 200])
    assert shared_test_movies(documents, champion).num_rows == 0


def test_f1_of_both_models_is_that_of_their_predictions():
    """Of two movies, the champion has one of each genre wrong, the challenger one alone."""
    y_true = np.array([[1, 0], [0, 1]], np.uint8)
    champion = np.array([[1, 1], [0, 0]], np.uint8)
    challenger = np.array([[1, 0], [0, 0]], np.uint8)
    micro, macro = compare_genres(PairedPredictions(y_true, champion, challenger))
    assert (micro.score, macro.score) == ("test_f1_micro", "test_f1_macro")
    assert (micro.champion, micro.challenger) == pytest.approx((1 / 2, 2 / 3))
    assert (macro.champion, macro.challenger) == pytest.approx((1 / 2, 1 / 2))
    assert (micro.difference, macro.difference) == pytest.approx((1 / 6, 0))


def test_a_better_mean_of_a_ranking_metric_is_a_positive_difference():
    result = compare_lists("m", champion=np.array([0.2, 0.4]), challenger=np.array([0.5, 0.7]))
    assert (result.champion, result.challenger) == pytest.approx((0.3, 0.6))
    assert (result.difference, result.low, result.high) == pytest.approx((0.3, 0.3, 0.3))


def test_a_difference_of_exactly_the_tolerance_is_not_worse():
    exact = [comparison("test_f1_micro", 0.5, 0.25)]
    assert promotion_decision(exact, tolerance=0.25, same_source=False).promote
    assert not promotion_decision(exact, tolerance=0.24, same_source=False).promote


def test_an_interval_that_begins_at_zero_is_no_improvement():
    touching = [comparison("test_f1_micro", 0.5, 0.75, half_width=0.25)]
    assert not promotion_decision(touching, tolerance=0.01, same_source=True).promote


def test_the_interval_of_a_ranking_metric_is_that_of_paired_differences():
    champion = np.random.default_rng(0).random(200).astype(np.float32)
    result = compare_lists("colike_ndcg_at_10", champion, champion + np.float32(0.01))
    assert result.score == "rec_colike_ndcg_at_10"
    assert result.difference == pytest.approx(0.01, abs=1e-6)
    assert result.low == pytest.approx(result.high, abs=1e-5)


def compared_with(
    champion: WordModel, known_items: KnownItemsRef | None = None, diversity: float = 0.0
) -> tuple[list[Comparison], pa.Table]:
    """Comparisons of a challenger with a champion that ranks by votes, and their sample lists.

    All movies have the same keywords; the first ten are of one collection.
    """
    collections = ["Alien"] * 10 + [None] * (len(TITLES) - 10)
    table = rows(TITLES, keywords=[list("abcde")] * len(TITLES), collection=collections)
    by_votes = WORDS_ALONE.model_copy(update={"words": 0.0, "votes": 1.0, "diversity": diversity})
    results: list[Comparison] = []

    def write(writer: store.EntryWriter) -> ScoresRef:
        results.extend(
            _compare_recommendations(
                documents=documents_of(table),
                champion=Champion(index=IndexRef(uri="u", tag="t"), rank=by_votes, run_id="1"),
                model=champion,
                ratings=None,
                known_items=known_items,
                lists=evaluate(table, known_items=known_items),
                writer=writer,
            )
        )
        return writer.folder_ref(ScoresRef)

    folder = store.locate(store.get_or_create("challenge", [], ScoresRef, write))
    return results, pq.read_table(folder / "lists_beside.parquet")


def test_lists_of_both_versions_are_compared_on_the_same_queries():
    """The champion ranks by votes, and the movies of the collection have the fewest."""
    comparisons, sample = compared_with(WordModel())
    by_metric = {row.score: row for row in comparisons}
    assert set(by_metric) == {"rec_keyword_ndcg_at_10", "rec_franchise_recall_at_10"}
    assert by_metric["rec_keyword_ndcg_at_10"].difference == 0
    franchise = by_metric["rec_franchise_recall_at_10"]
    assert franchise.champion < franchise.challenger
    (toy_story,) = (row for row in sample.to_pylist() if row["film"] == "Toy Story")
    assert toy_story["champion"].startswith("!!!")
    assert not toy_story["challenger"].startswith("!!!")


def test_a_champion_that_ranks_by_keywords_is_not_compared_by_them():
    comparisons, _ = compared_with(WordModel(keywords=True))
    assert [row.score for row in comparisons] == ["rec_franchise_recall_at_10"]


def test_answers_to_questions_are_compared(tmp_path):
    """The champion ranks movies by votes, but texts by their words, as the challenger does."""
    source = write_csv(tmp_path / "m.csv", [movie(0, "Horror")])
    (tmp_path / "known_items.csv").write_text("id,query\n18,word1 word3\n")
    comparisons, _ = compared_with(WordModel(), find_known_items([str(source)]))
    (answers,) = (row for row in comparisons if row.score == "rec_known_item_recall_at_10")
    assert (answers.champion, answers.challenger) == (1, 1)


def test_lists_of_the_champion_are_as_diverse_as_its_settings(tmp_path, monkeypatch):
    diversities = []

    def recorded(name: str, position: int):
        function = getattr(challenge_module, name)

        def record(*arguments: Any) -> Any:
            diversities.append((name, arguments[position]))
            return function(*arguments)

        monkeypatch.setattr(challenge_module, name, record)

    recorded("score_movies", 3)
    recorded("add_known_items", 4)
    compared_with(WordModel(), diversity=0.5)
    assert diversities == [("score_movies", 0.5), ("add_known_items", 0.5)]


def test_ratings_judge_both_versions(tmp_path):
    """Twelve users like the first thirty of 120 movies, and these share their words."""
    table = rows([f"Film {number}" for number in range(120)])
    ratings = write_ratings(tmp_path)
    champion = Champion(index=IndexRef(uri="u", tag="t"), rank=WORDS_ALONE, run_id="1")
    results: list[Comparison] = []

    def write(writer: store.EntryWriter) -> ScoresRef:
        results.extend(
            _compare_recommendations(
                documents=documents_of(table),
                champion=champion,
                model=WordModel(),
                ratings=ratings,
                known_items=None,
                lists=evaluate(table, ratings=ratings),
                writer=writer,
            )
        )
        return writer.folder_ref(ScoresRef)

    store.get_or_create("challenge", [], ScoresRef, write)
    assert {row.score for row in results} == {"rec_colike_matched_auc", "rec_colike_ndcg_at_10"}
    assert all(row.low == row.difference == row.high == 0 for row in results)


class GenreModel(WordModel):
    """Predicts one genre for every movie."""

    def __init__(self, genre: str) -> None:
        super().__init__()
        self.genre, self.classes = genre, GENRES
        self.text = TextConfig(validation_share=0.1, test_share=0.4)

    def predict_genres(self, titles: list[str], *_: list[str]) -> list[SimpleNamespace]:
        return [SimpleNamespace(genres=[self.genre]) for _ in titles]


def test_a_challenger_is_compared_and_judged_by_the_stored_comparison(monkeypatch, caplog):
    """All movies are Horror or War in turn; the champion predicts Horror, the challenger War."""
    table = rows(TITLES, collection=["Alien"] * 10 + [None] * (len(TITLES) - 10))
    overviews = table["overview"].to_pylist()
    splits = [assign_split(overview, 0.1, 0.4) for overview in overviews]
    documents = stored_table(
        DocumentsRef,
        store.read(documents_of(table))
        .append_column("genres", pa.array([[GENRES[row % 2]] for row in range(len(TITLES))]))
        .append_column("split", pa.array(splits)),
    )
    models = {Path("old"): GenreModel("Horror"), Path("new"): GenreModel("War")}
    monkeypatch.setattr(challenge_module, "TextModel", lambda folders: models[folders.doc2vec])
    monkeypatch.setattr(challenge_module, "create_table_artifact", lambda *_, **__: None)
    monkeypatch.setattr(challenge_module, "get_run_logger", lambda: logging.getLogger("gate"))
    old, new = (ModelFolders.of(Path(name), Path("c"), Path("l")) for name in ("old", "new"))
    compared = challenge_module.challenge.fn(
        documents=documents,
        challenger=new,
        lists=evaluate(table),
        ratings=None,
        known_items=None,
        champion=Champion(index=IndexRef(uri="u", tag="t"), rank=WORDS_ALONE, run_id="1"),
        folders=old,
        compute=Compute(),
    )
    in_test = [row for row, split in enumerate(splits) if split == "test"]
    horror = sum(row % 2 == 0 for row in in_test) / len(in_test)
    metrics = store.read_json(store.locate(compared) / "metrics.json")
    assert compared.rows == len(in_test)
    assert metrics["champion_test_f1_micro"] == pytest.approx(horror)
    assert metrics["gate_test_f1_micro_difference"] == pytest.approx(1 - 2 * horror)
    assert metrics["gate_rec_franchise_recall_at_10_difference"] == 0
    with caplog.at_level(logging.INFO):
        config = challenge_module.GateConfig(tolerance=1.0)
        decision = challenge_module.decide_promotion.fn(compared, config, same_source=False)
    assert [row.score for row in decision.comparisons] == [
        *("test_f1_micro", "test_f1_macro", "rec_franchise_recall_at_10")
    ]
    assert decision.promote
    assert messages(caplog) == [f"promoted: {decision.why}"]


def test_without_shared_test_movies_only_the_lists_are_compared(monkeypatch):
    """The champion has trained on every movie. What judges the lists is passed on."""
    inputs, known_items = {}, KnownItemsRef(source="m", file=Path("k"), digest="k")
    ratings = RatingsRef(source="m", files=(Path("r"), Path("l")), digest="r")
    champion = GenreModel("Horror")
    champion.text = TextConfig(validation_share=0.1, test_share=1e-9)
    monkeypatch.setattr(challenge_module, "TextModel", lambda _: champion)

    def compare(writer: store.EntryWriter, **arguments: Any) -> list[Comparison]:
        inputs.update(arguments)
        pq.write_table(pa.table({"film": ["Alien"]}), writer.folder / "lists_beside.parquet")
        return []

    monkeypatch.setattr(challenge_module, "_compare_recommendations", compare)
    monkeypatch.setattr(challenge_module, "create_table_artifact", lambda *_, **__: None)
    columns = {"title": ["Up"], "overview": ["One."], "keywords": [["a"]], "genres": [["War"]]}
    documents = stored_table(DocumentsRef, pa.table(columns | {"split": ["test"]}))
    folders = ModelFolders.of(*map(Path, ("doc2vec", "classifier", "lexicon")))
    compared = challenge_module.challenge.fn(
        documents=documents,
        challenger=folders,
        lists=ScoresRef(paths=("l",), digest="l"),
        ratings=ratings,
        known_items=known_items,
        champion=Champion(index=IndexRef(uri="u", tag="t"), rank=WORDS_ALONE, run_id="1"),
        folders=folders,
        compute=Compute(),
    )
    assert (inputs["ratings"], inputs["known_items"]) == (ratings, known_items)
    assert compared.rows == 0
    gate = pq.read_table(store.locate(compared) / "gate.parquet")
    assert (gate.schema, gate.num_rows) == (challenge_module.COMPARED, 0)
    assert store.read_json(store.locate(compared) / "metrics.json") == {}


def test_changed_questions_are_compared_again(monkeypatch):
    """Other questions may give the challenger equal scores, and the champion others."""
    questions_compared = []

    def compare(writer: store.EntryWriter, **inputs: Any) -> ScoresRef:
        questions_compared.append(inputs["known_items"].digest)
        pq.write_table(pa.table({"film": ["Alien"]}), writer.folder / "lists_beside.parquet")
        return writer.folder_ref(ScoresRef)

    monkeypatch.setattr(challenge_module, "_challenge", compare)
    monkeypatch.setattr(challenge_module, "create_table_artifact", lambda *_, **__: None)
    folders = ModelFolders.of(*map(Path, ("doc2vec", "classifier", "lexicon")))
    for digest in ("a", "b", "a"):
        challenge_module.challenge.fn(
            documents=DocumentsRef(paths=("d",), digest="d"),
            challenger=folders,
            lists=ScoresRef(paths=("l",), digest="l"),
            ratings=None,
            known_items=KnownItemsRef(source="m", file=Path("k"), digest=digest),
            champion=Champion(index=IndexRef(uri="u", tag="t"), rank=WORDS_ALONE, run_id="1"),
            folders=folders,
            compute=Compute(),
        )
    assert questions_compared == ["a", "b"]


def test_sample_lists_are_joined_by_film():
    challenger = pa.table({"film": ["Alien", "Up"], "movies like it": ["Aliens", "Cars"]})
    champion = pa.table({"film": ["Alien"], "movies like it": ["The Thing"]})
    assert join_lists(challenger, champion).to_pylist() == [
        {"film": "Alien", "challenger": "Aliens", "champion": "The Thing"},
        {"film": "Up", "challenger": "Cars", "champion": None},
    ]


def test_only_test_movies_of_both_versions_are_shared():
    """A champion with a smaller test split has trained on other test movies of the challenger."""
    overviews = [f"Story {number}" for number in range(300)]
    splits = [assign_split(text, validation_share=0.1, test_share=0.4) for text in overviews]
    documents = pa.table({"overview": overviews, "split": splits})
    for test_share in (0.1, 0.4):
        text = TextConfig(validation_share=0.1, test_share=test_share)
        shared = shared_test_movies(documents, SimpleNamespace(text=text))["overview"].to_pylist()
        assert shared == [
            overview
            for overview, split in zip(overviews, splits, strict=True)
            if split == "test" and assign_split(overview, 0.1, test_share) == "test"
        ]
        assert len(shared) == pytest.approx(300 * test_share, abs=20)
