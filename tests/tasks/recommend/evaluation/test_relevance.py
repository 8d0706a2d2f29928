import numpy as np
import pytest
import scipy.sparse as sp

from tasks.core.contracts import UserError
from tasks.recommend.evaluation.relevance import co_liked, franchises, read_likes

LINKS = "movieId,imdbId,tmdbId\n1,1,862.0\n2,2,8844\n3,3,\n"


def test_the_other_members_of_a_collection_are_relevant():
    relevant = franchises(["Alien", None, "Alien", "Rocky", "Alien", ""])
    assert {row: others.tolist() for row, others in relevant.items()} == {
        0: [2, 4],
        2: [0, 4],
        4: [0, 2],
    }


def test_likes_are_ratings_of_at_least_four_stars_for_movies_of_the_catalogue(tmp_path):
    ratings, links = tmp_path / "ratings.csv", tmp_path / "links.csv"
    ratings.write_text(
        "userId,movieId,rating,timestamp\n7,1,4.0,0\n7,2,3.5,0\n9,2,5.0,0\n9,3,5.0,0\n9,1,4.5,0\n"
    )
    links.write_text(LINKS)
    likes = read_likes(ratings, links, {862: 0, 8844: 1})
    assert likes.toarray().tolist() == [[1, 0], [1, 1]]


def test_missing_rating_columns_are_named(tmp_path):
    ratings, links = tmp_path / "ratings.csv", tmp_path / "links.csv"
    ratings.write_text("user,film\n1,2\n")
    links.write_text(LINKS)
    message = r"ratings.csv.*needed columns: userId, movieId, rating"
    with pytest.raises(UserError, match=message):
        read_likes(ratings, links, {862: 0})


def test_movies_liked_by_the_same_users_are_relevant():
    """Two groups of twelve users, each of which likes its own 30 movies."""
    likes = np.kron(np.eye(2), np.ones((12, 30)))
    relevant = co_liked(sp.csr_array(likes))
    assert len(relevant) == 60
    assert set(relevant[0].tolist()) <= set(range(1, 30))
    assert len(relevant[0]) == 20
    assert set(relevant[45].tolist()) <= set(range(30, 60)) - {45}


def test_a_movie_with_fewer_than_ten_likes_is_not_a_query():
    likes = np.ones((9, 30))
    assert co_liked(sp.csr_array(likes)) == {}
