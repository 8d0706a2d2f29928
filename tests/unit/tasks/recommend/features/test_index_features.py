import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

from tasks.core.compute import Compute
from tasks.core.contracts import (
    DOCUMENTS,
    ClassifierRef,
    Doc2VecRef,
    DocumentsRef,
    LabelsRef,
    TransformerRef,
    VectorsRef,
)
from tasks.core.storage import store
from tasks.genres.inference import Classifier, Layer, save_classifier
from tasks.genres.word_vectors import WordVectors
from tasks.recommend.features.index_features import (
    MOVIE_COLUMNS,
    TermCounts,
    count_terms,
    fit_terms,
    fit_text_features,
    fit_transformer,
    genre_features,
)
from tasks.recommend.features.index_transformer import NAME_WEIGHT, smooth_idf
from tasks.recommend.features.title_terms import title_terms
from tests.support.index_rows import TITLES, feature_models, rows
from tests.support.stored import stored_folder, stored_table

VOCABULARY = ["old", "house", "money", "again", "anni", "ghost"]
STORIES = ["A story of annie."] * 3 + ["A story with Annie."] * 2 + ["A story."] * 7
TRAINING, TEST = 0, 12  # rows of a training movie and of the only test movie
#: Changes of a movie, each of which is seen by the transformer if the movie is a training movie.
CHANGES = {
    "title": "Ghost Ship",
    "overview": "A story with Annie.",
    "document": "old ghost ghost",
    "people": ["Ridley Scott"],
    "keywords": ["haunted ship"],
    "vote_count": 9,
}


def document(row: int) -> dict[str, Any]:
    """Twelve training movies and one for testing; `anni` is in five documents."""
    return {
        "source": "m",
        "id": str(row + 1),
        "title": f"Film {row}",
        "overview": [*STORIES, "A story of annie."][row],
        "genres": ["Horror"],
        "keywords": ["house"],
        "people": ["Jane Doe"],
        "vote_count": 100 + row,
        "row": row + 1,
        "split": "test" if row == TEST else "train",
        "document": "old house money again" + " anni" * (row < 5),
    }


def vectors(changed_row: int | None = None) -> NDArray[np.float32]:
    """Document vectors; with one row changed."""
    vectors = np.random.default_rng(0).normal(size=(TEST + 1, 3)).astype(np.float32)
    if changed_row is not None:
        vectors[changed_row] += 5
    return vectors


def write_doc2vec(folder: Path) -> None:
    vocabulary = {"word": VOCABULARY, "count": [5] * len(VOCABULARY)}
    pq.write_table(pa.table(vocabulary), folder / "vocabulary.parquet")
    hidden = np.random.default_rng(1).normal(size=(len(VOCABULARY), 3))
    np.save(folder / "hidden.npy", hidden.astype(np.float32))
    store.write_json(folder / "text.json", {"keywords": False})


def write_classifier(folder: Path) -> None:
    layer = Layer(np.eye(3, dtype=np.float32), np.ones(3, np.float32))
    save_classifier(Classifier([layer, layer]), {"Horror": 0.5}, folder)


def write_labels(folder: Path) -> None:
    np.save(folder / "labels.npy", np.ones((TEST + 1, 1), np.uint8))
    store.write_json(folder / "classes.json", ["Horror"])


def transformer(
    movies: pa.Table, vectors: NDArray[np.float32], doc2vec: Doc2VecRef | None = None
) -> TransformerRef:
    """A transformer that is fitted on two chunks of movies."""
    chunks = (slice(0, 5), slice(5, None))
    documents = store.join([stored_table(DocumentsRef, movies[chunk]) for chunk in chunks])
    tables = [store.vectors_table(movies["id"][chunk], vectors[chunk]) for chunk in chunks]
    texts = fit_text_features.fn(
        documents=documents,
        labels=stored_folder(LabelsRef, write_labels),
        doc2vec=doc2vec or stored_folder(Doc2VecRef, write_doc2vec),
        compute=Compute(),
    )
    return fit_transformer.fn(
        texts=texts,
        documents=documents,
        vectors=store.join([stored_table(VectorsRef, table) for table in tables]),
        classifier=stored_folder(ClassifierRef, write_classifier),
        compute=Compute(),
    )


def transformer_files(
    changed_row: int, changes: dict[str, Any], vectors: NDArray[np.float32]
) -> dict[str, bytes]:
    """The files of a transformer, after changes of one movie."""
    movies = [document(row) for row in range(TEST + 1)]
    movies[changed_row] |= changes
    files = store.locate(transformer(pa.Table.from_pylist(movies, DOCUMENTS), vectors)).iterdir()
    return {file.name: file.read_bytes() for file in files if file.name != "ref.json"}


def test_the_digest_of_a_transformer_is_that_of_its_files():
    """Not of when or from which entry the features of texts were copied."""
    movies = pa.Table.from_pylist([document(row) for row in range(TEST + 1)], DOCUMENTS)
    doc2vecs = [stored_folder(Doc2VecRef, write_doc2vec) for _ in range(2)]
    renamed = [doc2vec.model_copy(update={"digest": doc2vec.paths[0]}) for doc2vec in doc2vecs]
    digests = []
    for doc2vec in renamed:
        fitted = transformer(movies, vectors(), doc2vec)
        digests.append(fitted.digest)
        shutil.rmtree(store.locate(fitted))  # or the second one would be found in the cache
    assert digests[0] == digests[1]


def test_probabilities_replace_the_genres_of_unlabelled_movies_alone():
    labels = np.array([[1, 0], [0, 0]], np.uint8)
    probabilities = np.array([[0.2, 0.9], [0.3, 0.6]], np.float32)
    assert genre_features(labels, probabilities).tolist() == [
        [1, 0],
        [pytest.approx(0.3), pytest.approx(0.6)],
    ]


def test_document_frequencies_count_a_term_once_per_movie():
    changes = {"title": "Boo Boo", "document": "ghost ghost a_b\tBoo", "people": ["Jane", "Jane"]}
    table = pa.Table.from_pylist([document(TRAINING) | changes, document(TEST)], DOCUMENTS)
    counts = count_terms([table, table])
    assert counts.movies == 2
    assert counts.tokens == {"ghost": 2, "a_b": 2}
    assert counts.titles == dict.fromkeys(title_terms("Boo Boo"), 2)
    assert (counts.people, counts.keywords) == ({"Jane": 2}, {"house": 2})
    assert counts.priors == pytest.approx([0.251] * 2, abs=1e-3)


def test_an_unknown_vote_count_is_not_part_of_the_mean_popularity():
    movies = [document(row) | {"vote_count": votes} for row, votes in ((0, None), (1, 10_000))]
    counts = count_terms([pa.Table.from_pylist(movies, DOCUMENTS)])
    assert fit_terms(counts, {}).votes == pytest.approx(1)


def test_names_count_less_in_words_and_in_vectors():
    counts = TermCounts(movies=20)
    for term in (*VOCABULARY, "anni_ghost"):
        counts.tokens[term] = 5
    counts.capitalised["anni"] = 5
    terms = fit_terms(counts, dict.fromkeys(["anni", "ghost", "anni_ghost", "unseen"], 0))
    idf = smooth_idf({"ghost": 5}, 20)["ghost"]
    assert terms.words == dict.fromkeys(VOCABULARY, idf) | {"anni": NAME_WEIGHT * idf}
    assert terms.pooling == pytest.approx(
        {
            "anni": (NAME_WEIGHT * idf) ** 2,
            "ghost": idf**2,
            "anni_ghost": (NAME_WEIGHT * idf) ** 2,
        }
    )


@pytest.mark.parametrize("column", CHANGES)
def test_only_training_movies_change_the_transformer(column):
    before = transformer_files(TEST, {}, vectors())
    change = {column: CHANGES[column]}
    assert transformer_files(TEST, change, vectors()) == before
    assert transformer_files(TRAINING, change, vectors()) != before


def test_only_vectors_of_training_movies_change_the_transformer():
    before = transformer_files(TEST, {}, vectors())
    assert transformer_files(TEST, {}, vectors(TEST)) == before
    assert transformer_files(TEST, {}, vectors(TRAINING)) != before


def test_index_rows_have_unit_vectors_and_weights():
    people, keywords = [["Jane", "Joe"]] * len(TITLES), [["ship"]] * len(TITLES)
    table = rows(TITLES, with_keywords=True, people=people, keywords=keywords)
    vector_columns = ["content", "hidden", "genre_vector"]
    terms = ["words", "title_words", "people_terms", "keyword_terms"]
    for column in [*vector_columns, *(f"{name}_weights" for name in terms)]:
        norms = [np.linalg.norm(values) for values in table[column].to_pylist()]
        assert norms == pytest.approx([1] * len(TITLES)), column


def test_index_rows_have_the_terms_of_titles_and_the_people():
    table = rows(["Alien 3"], people=[["Sigourney Weaver"]])
    assert table["title_words"].to_pylist() == [list(dict.fromkeys(title_terms("Alien 3")))]
    assert table["people_terms"].to_pylist() == [["Sigourney Weaver"]]
    assert table["people"].to_pylist() == [["Sigourney Weaver"]]


@pytest.mark.parametrize(("with_keywords", "terms"), [(True, ["ship"]), (False, [])])
def test_keywords_are_a_feature_only_of_a_run_with_keywords(with_keywords, terms):
    table = rows(["Alien"], with_keywords=with_keywords, keywords=[["ship"]])
    assert table["keyword_terms"].to_pylist() == [terms]
    assert table["keywords"].to_pylist() == [["ship"]]


def test_the_hidden_layer_of_a_network_of_words_comes_from_the_texts():
    words = WordVectors({"movie_5": 0}, np.array([[0, 3, 4, 0, 0, 0]], np.float32))
    models = feature_models(np.eye(6, dtype=np.float32))
    models = models._replace(network=models.network._replace(words=words))
    units = models.hidden(["movie_5", "unknown"], np.full((2, 6), np.nan, np.float32))
    expected = normalize(np.array([[3, 6, 7, 3, 3, 3], [3] * 6], float))
    assert units == pytest.approx(expected)


def test_story_and_network_have_vectors_of_their_own():
    """The story's vector comes from the words of the document, the network's from its vector."""
    models = feature_models(np.eye(6, dtype=np.float32))
    movies = pa.Table.from_pylist([document(0) | {"id": "1"}], DOCUMENTS).select(MOVIE_COLUMNS)
    vector = np.array([[0, 3, -4, 0, 0, 0]], np.float32)
    table = models.index_rows(movies, ["movie_5"], vector, np.ones((1, 2), np.float32))
    assert table["content"].to_pylist() == [[0, 0, 0, 0, 0, 1]]
    hidden = np.array([3, 6, 0, 3, 3, 3])
    assert table["hidden"].to_pylist() == [pytest.approx(hidden / np.linalg.norm(hidden))]


def test_index_rows_of_training_are_not_marked_as_refreshed():
    assert rows(["Alien"])["refreshed"].to_pylist() == [False]
