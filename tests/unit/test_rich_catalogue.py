"""The rich catalogue is what its description says."""

from collections import Counter
from itertools import chain

from tasks.data.preprocess import TextConfig
from tasks.data.splits import split_of_overview
from tests.support.rich_catalogue import (
    CLASSES,
    COPIED_OVERVIEW,
    COPIED_TITLE,
    FIRST_ID,
    QUESTIONS,
    SPLIT,
    VOCABULARIES,
    WAR_MOVIE,
    damaged_rows,
    duplicates,
    genres_of,
    rich_movie,
    rich_movies,
    second_source,
)


def splits() -> list[str]:
    config = TextConfig.model_validate(SPLIT)
    return [split_of_overview(row["overview"], config) for row in rich_movies()]


def test_every_split_has_movies_of_every_genre():
    for split in ("train", "validation", "gate", "test"):
        numbers = [number for number, name in enumerate(splits()) if name == split]
        support = Counter(genre for number in numbers for genre in genres_of(number))
        assert min(support[genre] for genre in CLASSES) >= 3, split


def test_the_movie_of_a_rare_genre_is_a_train_movie():
    assert splits()[WAR_MOVIE - FIRST_ID] == "train"
    assert sum("War" in genres_of(number) for number in range(150)) == 1


def test_vocabularies_overlap_a_little():
    shared = [word for word, count in Counter(chain(*VOCABULARIES.values())).items() if count > 1]
    assert sorted(shared) == ["curse", "horse", "midnight", "stage"]


def test_collections_have_two_movies_and_directors_one_collection():
    rows = rich_movies()
    assert set(Counter(row["belongs_to_collection"] for row in rows).values()) == {2}
    pairs = {(row["belongs_to_collection"], row["director"]) for row in rows}
    assert len(pairs) == len({director for _, director in pairs}) == 75


def test_the_last_word_of_a_question_is_in_its_movie_alone():
    rows = {int(row["id"]): row["overview"] for row in rich_movies()}
    for movie_id, question in QUESTIONS.items():
        word = question.split()[-1]
        assert [key for key, text in rows.items() if word in text] == [movie_id]


def test_duplicates_share_an_overview_or_a_title_and_year():
    same_overview, same_title = duplicates()
    first, second = (rich_movie(number - FIRST_ID) for number in (COPIED_OVERVIEW, COPIED_TITLE))
    assert same_overview["overview"] == first["overview"]
    assert same_overview["title"] != first["title"]
    for column in ("title", "release_date"):
        assert same_title[column] == second[column]
    assert same_title["overview"] != second["overview"]


def test_the_second_source_shares_ids_and_no_texts():
    first, second = {row["id"]: row for row in rich_movies()}, second_source(60)
    assert {row["id"] for row in second} <= first.keys()
    overviews = {row["overview"] for row in first.values()}
    assert not {row["overview"] for row in second} & overviews


def test_every_kind_of_damage_is_in_the_source():
    assert len({row["id"] for row in damaged_rows()}) == 4
