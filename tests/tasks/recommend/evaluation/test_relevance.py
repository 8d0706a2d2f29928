import numpy as np
import pytest
import scipy.sparse as sp

from tasks.core.contracts import UserError
from tasks.recommend.evaluation.relevance import co_liked, franchises, read_likes


def test_the_other_members_of_a_collection_belong_together():
    found = franchises(["Alien", None, "Alien", "Rocky", "Alien", ""])
    assert {row: other.tolist() for row, other in found.items()} == {
        0: [2, 4],
        2: [0, 4],
        4: [0, 2],
    }


def test_likes_are_ratings_from_four_stars_of_known_movies(tmp_path):
    ratings, links = tmp_path / "ratings.csv", tmp_path / "links.csv"
    ratings.write_text(
        "userId,movieId,rating,timestamp\n7,1,4.0,0\n7,2,3.5,0\n9,2,5.0,0\n9,3,5.0,0\n9,1,4.5,0\n"
    )
    links.write_text("movieId,imdbId,tmdbId\n1,1,862.0\n2,2,8844\n3,3,\n")
    likes = read_likes(ratings, links, {862: 0, 8844: 1})
    assert likes.toarray().tolist() == [[1, 0], [1, 1]]


def test_ratings_without_their_columns_are_refused(tmp_path):
    ratings, links = tmp_path / "ratings.csv", tmp_path / "links.csv"
    ratings.write_text("user,film\n1,2\n")
    links.write_text("movieId,imdbId,tmdbId\n1,1,862\n")
    with pytest.raises(UserError, match=r"ratings.csv.*userId, movieId, rating are needed"):
        read_likes(ratings, links, {862: 0})


def test_movies_liked_by_the_same_users_are_relevant():
    """Two tastes of 30 movies each, and twelve users of each taste."""
    likes = np.kron(np.eye(2), np.ones((12, 30)))
    found = co_liked(sp.csr_array(likes))
    assert len(found) == 60
    assert set(found[0].tolist()) <= set(range(1, 30))
    assert len(found[0]) == 20
    assert set(found[45].tolist()) <= set(range(30, 60)) - {45}


def test_movies_that_few_like_ask_nothing():
    likes = np.ones((9, 30))
    assert co_liked(sp.csr_array(likes)) == {}
