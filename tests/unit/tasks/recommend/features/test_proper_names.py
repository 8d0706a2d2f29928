import re
from collections import Counter

from tasks.data.words import stem
from tasks.recommend.features.proper_names import common_names, count_capitalised

STORY = "An old house where {} and a quiet neighbour hide their money again"


def names_of(overviews: list[str], n_documents: int = 0) -> set[str]:
    """Common names of overviews, as if they were part of `n_documents`."""
    frequencies = Counter(
        stem(word)
        for overview in overviews
        for word in set(re.findall(r"\w+", overview.casefold()))
    )
    capitals = count_capitalised(overviews)
    return set(common_names(capitals, frequencies, n_documents or len(overviews)))


def test_a_word_that_is_capitalised_inside_sentences_is_a_name():
    assert names_of([STORY.format("Annie")] * 5) == {"anni"}


def test_a_word_that_is_mostly_written_small_is_no_name():
    """Capitalised in two of five overviews: at the limit."""
    assert names_of([STORY.format("Hope")] * 2 + [STORY.format("hope")] * 3) == set()


def test_the_first_word_of_a_sentence_is_no_name():
    assert names_of(["Money is old. Houses are quiet, and neighbours hide it."] * 5) == set()


def test_a_capitalised_word_after_in_is_a_place():
    assert names_of([STORY.format("Annie of the hills in Boston")] * 5) == {"anni"}


def test_a_name_may_follow_a_preposition_now_and_then():
    overviews = [STORY.format("Annie")] * 9 + [STORY.format("a letter to Annie")]
    assert names_of(overviews) == {"anni"}


def test_a_typographic_apostrophe_belongs_to_a_name():
    capitalised, _ = count_capitalised(["A letter from Scarlett O’Hara"])
    assert capitalised == {"scarlett": 1, "o'hara": 1}


def test_names_in_few_documents_are_not_common():
    assert names_of([STORY.format("Annie")] * 4) == set()


def test_names_in_a_small_share_of_the_documents_are_not_common():
    overviews = [STORY.format("Annie")] * 9
    assert names_of(overviews, n_documents=9_000) == {"anni"}
    assert names_of(overviews, n_documents=9_001) == set()


def test_a_language_that_capitalises_nouns_has_no_names():
    german = "ein altes Haus, wo Annie und ein stiller Nachbar ihr Geld vor der Polizei verstecken"
    assert names_of([german] * 5) == set()
