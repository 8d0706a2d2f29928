import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from pydantic import ValidationError
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from tasks.core.compute import Compute
from tasks.core.contracts import DocumentsRef, LabelsRef, UserError
from tasks.core.storage import store
from tasks.data.preprocess import TEXT_COLUMNS, TextConfig
from tasks.genres.linear import (
    BaselineConfig,
    LabelledTexts,
    LinearModel,
    content_texts,
    fit_genre,
    fit_genres,
    fit_linear,
    fit_linear_model,
    fit_vectorizer,
    labelled_splits,
    load_linear_model,
    save_linear_model,
    terms_of,
)
from tasks.genres.metrics import find_best_threshold
from tests.conftest import THEMES
from tests.support.stored import stored_folder, stored_table


def themed_movies(count: int) -> LabelledTexts:
    words = list(THEMES.values())
    texts = [" ".join(words[n % 3][n % 4 : n % 4 + 4]) for n in range(count)]
    return LabelledTexts(texts, np.eye(3, dtype=np.uint8)[np.arange(count) % 3])


def fitted(train: LabelledTexts, validation: LabelledTexts | None = None) -> LinearModel:
    return fit_linear_model(train, validation or train, BaselineConfig(), 0.2)


def test_the_words_of_a_genre_are_learned():
    test = themed_movies(30)
    logits = fitted(themed_movies(60), test).logits(test.texts)
    assert logits.dtype == np.float32
    assert ((logits > 0) == test.labels).mean() > 0.95


def test_a_word_is_another_term_in_a_title():
    """Where it stands tells the genre here; every document has the same tokens."""
    texts = ["ghost ship\tghost", "ghost ship\tship"] * 30
    movies = LabelledTexts(texts, np.eye(2, dtype=np.uint8)[np.arange(60) % 2])
    assert ((fitted(movies).logits(movies.texts) > 0) == movies.labels).all()


def test_terms_are_tokens_then_words_and_bigrams_of_the_title():
    assert terms_of("haunt ship haunt_ship\tthe ships") == [
        *("haunt", "ship", "haunt_ship"),
        *("title:the", "title:ships", "title:the_ships"),
    ]
    assert terms_of("haunt ship") == ["haunt", "ship"]


def test_a_model_does_not_depend_on_the_global_random_state():
    rng = np.random.default_rng(1)
    words = np.array([f"word{number}" for number in range(60)])
    texts = [" ".join(rng.choice(words, 8)) for _ in range(600)]
    split = LabelledTexts(texts, (rng.random((600, 6)) < 0.3).astype(np.uint8))
    predictions = []
    for seed in range(3):
        np.random.seed(seed)
        predictions.append(fitted(split).logits(split.texts))
    assert all(np.array_equal(predictions[0], other) for other in predictions)


def test_texts_without_terms_are_refused():
    empty = LabelledTexts(["", " "], np.eye(3, dtype=np.uint8)[:2])
    with pytest.raises(UserError, match="no terms to train on"):
        fitted(empty)


def noisy_movies(count: int, seed: int) -> LabelledTexts:
    """Movies of 30 random words, one of which names the genre of most."""
    rng = np.random.default_rng(seed)
    genres = rng.integers(3, size=count)
    texts = [
        " ".join([f"genre{genre}", *(f"word{n}" for n in rng.integers(500, size=30))])
        for genre in genres
    ]
    wrong = rng.random(count) < 0.3
    return LabelledTexts(texts, np.eye(3, dtype=np.uint8)[np.where(wrong, 0, genres)])


def test_c_is_chosen_on_validation_movies():
    train, validation = noisy_movies(300, 0), noisy_movies(300, 1)
    f1 = {c: validation_f1(train, validation, c) for c in (0.01, 1.0, 100.0)}
    model = fit_linear_model(train, validation, BaselineConfig(tfidf_c=tuple(f1)), 0.0)
    assert model.c == max(f1, key=f1.__getitem__)
    assert len(set(f1.values())) == 3


def model_with(train: LabelledTexts, c: float, power: float) -> LinearModel:
    vectorizer = fit_vectorizer(train.texts, 2)
    return fit_genres(vectorizer, vectorizer.transform(train.texts), train.labels, c, power)


def validation_f1(train: LabelledTexts, validation: LabelledTexts, c: float) -> float:
    logits = model_with(train, c, 0.0).logits(validation.texts)
    return find_best_threshold(validation.labels, expit(logits)).f1


def test_rare_genres_weigh_more_with_a_positive_power():
    train = noisy_movies(300, 0)
    features = fit_vectorizer(train.texts, 2).transform(train.texts)
    rare = (np.arange(300) % 10 == 0).astype(np.uint8)
    means = []
    for power in (0.0, 0.5):
        weight, bias = fit_genre(features, rare, 1.0, power)
        means.append(expit(features @ weight + bias).mean())
    assert means[1] > 1.5 * means[0]


def test_with_power_one_a_rare_genre_is_as_likely_as_not_of_texts_that_say_nothing():
    """Its positives weigh (negatives / positives) ** power, as many times as there are less."""
    same = sp.csr_matrix(np.ones((1000, 1), np.float32))
    rare = (np.arange(1000) % 10 == 0).astype(np.uint8)
    models = {power: fit_genre(same, rare, 1.0, power) for power in (0.0, 0.5, 1.0)}
    logits = {power: weight.item() + bias for power, (weight, bias) in models.items()}
    expected = {power: (1 - power) * np.log(1 / 9) for power in logits}
    assert logits == pytest.approx(expected, abs=0.02)


def test_weights_are_near_those_of_the_exact_solution():
    train = noisy_movies(300, 0)
    features = fit_vectorizer(train.texts, 2).transform(train.texts)
    weight, bias = fit_genre(features, train.labels[:, 1], 1.0, 0.0)
    exact = LogisticRegression(solver="liblinear", tol=1e-8, max_iter=10_000)
    exact.fit(features, train.labels[:, 1])
    assert weight == pytest.approx(exact.coef_[0], abs=0.002)
    assert bias == pytest.approx(exact.intercept_[0], abs=0.002)


def test_a_term_that_repeats_counts_by_its_logarithm():
    vectorizer = fit_vectorizer(["ghost ship", "ghost ship"], 1)
    ghost, ship = vectorizer.transform(["ghost ghost ghost ship"]).toarray()[0]
    assert ghost / ship == pytest.approx(1 + np.log(3))


@pytest.mark.parametrize("label", [0, 1])
def test_a_genre_of_all_movies_or_of_none_is_constant(label):
    train = noisy_movies(30, 0)._replace(labels=np.full((30, 1), label, np.uint8))
    logits = model_with(train, 1.0, 0.2).logits(["word1", ""])
    assert expit(logits).ravel().tolist() == pytest.approx([label, label], abs=0.02)


def test_no_texts_have_no_logits():
    logits = fitted(noisy_movies(30, 0)).logits([])
    assert (logits.shape, logits.dtype) == ((0, 3), np.float32)


@pytest.mark.parametrize("better_on", ["validation", "test"])
def test_c_of_the_stage_is_chosen_on_validation_movies(better_on):
    """Train movies name their genre by two words; one is wrong in validation, the other in test."""
    train = noisy_movies(300, 0)
    others = {"validation": noisy_movies(300, 1), "test": noisy_movies(300, 2)}
    worst = others["test" if better_on == "validation" else "validation"]
    opposite = worst._replace(labels=1 - worst.labels)
    splits = others | {("test" if better_on == "validation" else "validation"): opposite}
    config = BaselineConfig(tfidf_c=(0.01, 1.0, 100.0))
    model = stage_model({"train": train, **splits}, config)
    expected = fit_linear_model(train, splits["validation"], config, 0.0)
    assert model.c == expected.c
    assert np.array_equal(model.weight, expected.weight)


def stage_model(splits: dict[str, LabelledTexts], config: BaselineConfig) -> LinearModel:
    """The model that the stage fits on stored movies of these splits."""
    documents, labels = stored_splits(splits)
    ref = fit_linear.fn(
        documents=documents,
        labels=labels,
        config=config,
        positive_power=0.0,
        text=TextConfig(),
        compute=Compute(),
    )
    assert ref.rows == len(splits["train"].texts)
    return load_linear_model(store.locate(ref))


def stored_splits(splits: dict[str, LabelledTexts]) -> tuple[DocumentsRef, LabelsRef]:
    texts = [text for split in splits.values() for text in split.texts]
    names = [name for name, split in splits.items() for _ in split.texts]
    table = pa.table({"document": texts, "split": names})
    for column in set(TEXT_COLUMNS) - {"document"}:
        table = table.append_column(column, pa.array([""] * len(texts)))

    def write_labels(folder):
        np.save(folder / "labels.npy", np.concatenate([split.labels for split in splits.values()]))
        store.write_json(folder / "classes.json", ["a", "b", "c"])

    return stored_table(DocumentsRef, table), stored_folder(LabelsRef, write_labels)


def test_a_stored_model_has_equal_logits(tmp_path):
    train = noisy_movies(100, 0)
    model = fitted(train)
    save_linear_model(model, tmp_path)
    loaded = load_linear_model(tmp_path)
    texts = [*train.texts, "genre1 genre1 unknown", ""]
    assert np.array_equal(loaded.logits(texts), model.logits(texts))
    assert loaded.c == model.c


def test_a_stored_model_of_pickled_objects_is_refused(tmp_path):
    """Loading a pickle runs code."""
    save_linear_model(fitted(noisy_movies(100, 0)), tmp_path)
    objects = np.array([{}], dtype=object)
    np.savez(tmp_path / "linear.npz", weight=objects, bias=objects, c=objects)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_linear_model(tmp_path)


@pytest.mark.parametrize("values", [(), (1.0, 0.0), (-1.0,)])
def test_a_c_that_is_not_positive_is_refused(values):
    with pytest.raises(ValidationError):
        BaselineConfig(tfidf_c=values)


def test_splits_contain_their_labelled_movies():
    names = ["train", "test", "validation", "train", "gate"]
    labels = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [1, 0]], np.uint8)
    splits = labelled_splits(list("wxyzv"), names, labels)
    assert {name: split.texts for name, split in splits.items()} == {
        **{"train": ["w"], "validation": ["y"], "test": ["x"]},
    }
    with pytest.raises(UserError, match="in the test split"):
        labelled_splits(
            list("wxyzv"), names, labels * np.array([[1], [0], [1], [1], [1]], np.uint8)
        )


def test_the_texts_are_those_of_the_classifier_and_never_have_genres():
    movie = {"title": "Alien", "overview": "Ghosts", "genres": ["Horror"], "keywords": ["ship"]}
    table = pa.Table.from_pylist([movie | {"document": "tokens of the classifier"}])
    assert content_texts(table, TextConfig()) == ["tokens of the classifier"]
    leaky = TextConfig(recipe="blog", keywords=True)
    assert content_texts(table, leaky) == ["ghost alien ghost_alien ship\talien"]
