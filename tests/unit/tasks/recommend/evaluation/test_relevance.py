import numpy as np
import pytest
import scipy.sparse as sp

from tasks.core.contracts import UserError
from tasks.recommend.evaluation.relevance import (
    MATCHED_NEIGHBOURS,
    MATCHED_SAMPLE,
    N_RELEVANT,
    USER_GROUPS,
    VoteMatched,
    _most_co_liked,
    co_liked,
    co_liked_without_groups,
    franchises,
    half_of,
    keyword_judgements,
    read_likes,
    stable_sample,
)
from tests.support.judgements import HALVES, users_of_half

LINKS = "movieId,imdbId,tmdbId\n1,1,862.0\n2,2,8844\n3,3,\n"


def test_the_half_of_a_name_never_changes():
    """Other halves would report scores on the judgements that versions were chosen on."""
    names = ["movies_metadata/1", "movies_metadata/2", "franchise Alien", "franchise Rocky"]
    halves = [half_of(name) for name in [*names, "user 2", "user 0"]]
    assert halves == ["choosing", "reported"] * 3


def test_about_as_many_names_are_in_each_half():
    halves = [half_of(f"user {number}") for number in range(1000)]
    assert 450 < halves.count("reported") < 550


def test_the_other_members_of_a_collection_are_relevant():
    relevant = franchises(["Alien", None, "Alien", "Rocky", "Alien", ""])
    assert {row: others.tolist() for row, others in relevant.items()} == {
        0: [2, 4],
        2: [0, 4],
        4: [0, 2],
    }


def test_movies_with_five_different_keywords_are_judged():
    keywords = [list("abcde"), list("abcd"), [], list("aabbcc"), list("abcdef")]
    assert keyword_judgements(keywords).rows.tolist() == [0, 4]


def test_relevance_is_the_cosine_of_keywords_and_0_to_itself():
    judgements = keyword_judgements([list("abcde"), list("edcba"), list("vwxyz"), ["a"]])
    assert judgements.gains(0).tolist() == pytest.approx([0, 1, 0])
    assert judgements.gains(1).tolist() == pytest.approx([1, 0, 0])


def test_a_rare_keyword_counts_more_than_a_common_one():
    """The first shares `a` with all but one other, and `e` only with the last."""
    keywords = [list("abcde"), list("afghi"), list("ajklm"), list("anopq"), list("erstu")]
    gains = keyword_judgements(keywords).gains(0)
    assert 0 < gains[1] == pytest.approx(gains[2])
    assert gains[4] > 1.5 * gains[1]


def test_keywords_that_judge_do_not_depend_on_movies_that_are_not_judged():
    keywords = [list("abcde"), list("abxyz")]
    alone, among_others = (keyword_judgements([*keywords, *more]) for more in ([], [["a"]] * 9))
    assert among_others.gains(0).tolist() == alone.gains(0).tolist()


def votes_in_order(count: int) -> np.ndarray:
    """Votes of movies whose order by votes is that of their rows."""
    return np.arange(count, dtype=np.float32)


@pytest.mark.parametrize("row", [0, 500, 999])
def test_matched_movies_have_about_as_many_votes(row):
    (sample,) = VoteMatched(votes_in_order(1000)).draw(20, np.array([row]))
    assert len(set(sample.tolist())) == MATCHED_SAMPLE
    nearest = min(abs(row - end) for end in (0, 999))
    width = MATCHED_NEIGHBOURS + N_RELEVANT + 1
    reach = width + 1 - min(nearest, width // 2)
    assert max(abs(sample - row)) <= reach
    assert max(abs(sample - row)) > reach / 2


@pytest.mark.parametrize(
    ("row", "nearest"), [(500, range(340, 661)), (5, range(321)), (990, range(679, 1000))]
)
def test_movies_are_drawn_from_the_nearest_by_votes(row, nearest):
    """A window of 321 movies around the movie, moved at both ends; each draw has 50 of it."""
    sampler, queries = VoteMatched(votes_in_order(1000)), range(330, 339)
    draws = [sampler.draw(query, np.array([row] * 9)) for query in queries]
    assert set(np.ravel(draws).tolist()) == set(nearest) - {row}


def test_draws_are_those_of_seed_zero():
    votes, relevant = votes_in_order(1000), np.array([400])
    assert np.array_equal(
        VoteMatched(votes).draw(7, relevant), VoteMatched(votes, seed=0).draw(7, relevant)
    )


def test_the_order_by_votes_decides_not_the_row():
    """The first half has many more votes than the second, except for row 0."""
    votes = np.concatenate([votes_in_order(500) * 1000, votes_in_order(500)])
    (sample,) = VoteMatched(votes).draw(20, np.array([0]))
    assert (sample >= 500).mean() > 0.9


def test_the_query_and_its_relevant_movies_are_not_matched():
    """Of 60 movies, 56 are candidates, of which 50 are drawn for each relevant movie."""
    relevant = np.array([1, 30, 59])
    matched = VoteMatched(votes_in_order(60)).draw(7, relevant)
    assert matched.shape == (3, MATCHED_SAMPLE)
    assert not np.isin(matched, [7, *relevant]).any()


def test_matched_movies_depend_on_the_query_alone():
    votes, relevant = votes_in_order(1000), np.array([400, 600])
    sampler = VoteMatched(votes)
    others = sampler.draw(3, relevant)
    assert np.array_equal(sampler.draw(7, relevant), VoteMatched(votes).draw(7, relevant))
    assert not np.array_equal(others, sampler.draw(7, relevant))


def test_likes_are_ratings_of_at_least_four_stars_for_movies_of_the_catalogue(tmp_path):
    first, second = users_of_half("reported", 2)
    ratings, links = tmp_path / "ratings.csv", tmp_path / "links.csv"
    lines = [f"{first},1,4.0,0", f"{first},2,3.5,0"]
    lines += [f"{second},{movie},{stars},0" for movie, stars in ((2, 5.0), (3, 5.0), (1, 4.5))]
    ratings.write_text("\n".join(["userId,movieId,rating,timestamp", *lines]))
    links.write_text(LINKS)
    likes = read_likes(ratings, links, {"862": 0, "8844": 1}, "reported")
    assert likes.toarray().tolist() == [[1, 0], [1, 1]]


def test_likes_are_those_of_the_users_of_one_half(tmp_path):
    """Choosing users like the first movie, reported users the second."""
    ratings, links = tmp_path / "ratings.csv", tmp_path / "links.csv"
    lines = [
        f"{user},{movie},5.0"
        for movie, half in enumerate(HALVES, 1)
        for user in users_of_half(half, 2 + movie)
    ]
    ratings.write_text("\n".join(["userId,movieId,rating", *lines]))
    links.write_text(LINKS)
    choosing, reported = (
        read_likes(ratings, links, {"862": 0, "8844": 1}, half).toarray().tolist()
        for half in HALVES
    )
    assert choosing == [[1, 0]] * 3
    assert reported == [[0, 1]] * 4


def test_missing_rating_columns_are_named(tmp_path):
    ratings, links = tmp_path / "ratings.csv", tmp_path / "links.csv"
    ratings.write_text("user,film\n1,2\n")
    links.write_text(LINKS)
    message = r"ratings.csv.*needed columns: userId, movieId, rating"
    with pytest.raises(UserError, match=message):
        read_likes(ratings, links, {"862": 0}, "reported")


def test_a_rating_that_is_no_number_is_an_error(tmp_path):
    ratings, links = tmp_path / "ratings.csv", tmp_path / "links.csv"
    ratings.write_text("userId,movieId,rating\n7,1,good\n")
    links.write_text(LINKS)
    with pytest.raises(UserError, match=r"ratings.csv.*good"):
        read_likes(ratings, links, {"862": 0}, "reported")


def test_ratings_of_other_movies_are_ignored(tmp_path):
    ratings, links = tmp_path / "ratings.csv", tmp_path / "links.csv"
    (user,) = users_of_half("choosing", 1)
    ratings.write_text(f"userId,movieId,rating\n{user},1,5.0\n")
    links.write_text(LINKS)
    assert read_likes(ratings, links, {"8844": 1}, "choosing").shape == (0, 2)
    assert read_likes(ratings, links, {}, "choosing").shape == (0, 0)


def two_groups() -> sp.csr_array:
    """Two groups of twelve users, each of which likes its own 30 movies."""
    return sp.csr_array(np.kron(np.eye(2), np.ones((12, 30))))


def test_movies_liked_by_the_same_users_are_relevant():
    relevant = co_liked(two_groups())
    assert len(relevant) == 60
    assert set(relevant[0].tolist()) <= set(range(1, 30))
    assert len(relevant[0]) == 20
    assert set(relevant[45].tolist()) <= set(range(30, 60)) - {45}


def test_without_a_group_some_movies_are_judged():
    lists = co_liked_without_groups(two_groups(), [3, 40])
    assert [list(by_row) for by_row in lists] == [[3, 40]] * USER_GROUPS


def test_a_sample_of_queries_stays_when_movies_are_added():
    names = [f"m/{number}" for number in range(300)]
    before = stable_sample(range(300), names, 100)
    assert before == sorted(before)
    assert len(before) == 100
    after = stable_sample(range(301), ["m/new", *names], 100)
    kept = {row + 1 for row in before} & set(after)
    assert len(kept) >= 99
    assert stable_sample([5, 2], names, 100) == [2, 5]
    assert max(before) > 250
    assert min(before) < 50


def test_without_a_group_only_the_likes_of_the_other_users_count():
    """Every tenth user is in the same group; the queries are those of all users."""
    likes = (np.random.default_rng(0).random((200, 40)) < 0.4).astype(float)
    relevant = co_liked(sp.csr_array(likes))
    without_group = co_liked_without_groups(sp.csr_array(likes), list(relevant))
    assert len(without_group) == 10
    for group, lists in enumerate(without_group):
        left = np.delete(likes, np.s_[group::10], axis=0)
        expected = co_liked(sp.csr_array(left))
        assert list(lists) == list(expected) == list(relevant)
        assert all(lists[row].tolist() == expected[row].tolist() for row in lists)
        assert any(lists[row].tolist() != relevant[row].tolist() for row in lists)


def test_a_movie_with_too_few_likes_without_a_group_stays_a_query():
    """Ten users like all movies: each group is one of them."""
    likes = sp.csr_array(np.ones((10, 21)))
    relevant = co_liked(likes)
    without_group = co_liked_without_groups(likes, list(relevant))
    assert {len(lists) for lists in without_group} == {len(relevant)} == {21}
    assert {len(movies) for lists in without_group for movies in lists.values()} == {20}


def test_a_movie_with_fewer_than_ten_likes_is_not_a_query():
    likes = np.ones((9, 30))
    assert co_liked(sp.csr_array(likes)) == {}


def likes_of(*movies: range) -> sp.csr_array:
    """Users 0 to 99 who like each movie, as a matrix of ones."""
    matrix = np.zeros((100, len(movies)))
    for movie, users in enumerate(movies):
        matrix[list(users), movie] = 1
    return sp.csr_array(matrix)


def most_co_liked(likes: sp.csr_array) -> list[int]:
    """The neighbours of the first movie."""
    counts = np.asarray(likes.sum(axis=0)).ravel()
    return _most_co_liked(0, (likes.T @ likes).tocsr(), counts).tolist()


def test_movies_with_few_common_users_count_less():
    """Cosines 3/6 of 3 common users and 12/30 of 12; times 3/8 and 12/17 they are 0.19 and 0.28."""
    assert most_co_liked(likes_of(range(12), range(3), range(75))) == [2, 1]


def test_more_common_users_do_not_outweigh_a_much_higher_cosine():
    """Cosines 3/6 of 3 common users and 8/30 of 8; times 3/8 and 8/13 they are 0.19 and 0.16."""
    assert most_co_liked(likes_of(range(12), range(3), range(4, 79))) == [1, 2]


def test_a_movie_that_everybody_likes_is_less_similar():
    """Twelve common users each; with 100 likes the cosine is 0.35, with 12 it is 1."""
    assert most_co_liked(likes_of(range(12), range(100), range(12))) == [2, 1]


def test_three_common_users_make_a_neighbour_and_two_do_not():
    assert most_co_liked(likes_of(range(12), range(3), range(2))) == [1]


def test_equally_similar_movies_are_ordered_by_row():
    assert most_co_liked(likes_of(*[range(12)] * 4)) == [1, 2, 3]


@pytest.mark.parametrize(("users", "is_query"), [(9, False), (10, True)])
def test_a_query_is_liked_by_ten_users(users, is_query):
    likes = np.ones((users, 21))
    assert (len(co_liked(sp.csr_array(likes))) == 21) == is_query


@pytest.mark.parametrize(("movies", "is_query"), [(20, False), (21, True)])
def test_a_query_has_twenty_neighbours(movies, is_query):
    likes = sp.csr_array(np.ones((10, movies)))
    assert bool(co_liked(likes)) == is_query
