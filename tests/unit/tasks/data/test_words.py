import pytest

from tasks.data.words import content_words, language_of, stems_of, stop_words, words_of

HINDI = "एक युवा डॉक्टर को अँधेरा और भूत मिलते हैं और उसे लाश का सामना करना पड़ता है"
FRENCH = "L'homme qui a perdu son fils cherche les traces de la bête dans une forêt hantée"
GERMAN = "Ein junger Arzt findet auf der Insel die Leichen und muss sich vor dem Geist retten"


def content(text: str) -> list[str]:
    words = words_of(text)
    return content_words(words, language_of(words))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Andy’s toys aren't alive!", ["andy's", "toys", "aren't", "alive"]),
        ("Amélie à Orléans", ["amélie", "à", "orléans"]),
        ("भूत की शरारत", ["भूत", "की", "शरारत"]),
        ("千と千尋", ["千と", "と千", "千尋"]),
        ("退休警察", ["退休", "休警", "警察"]),
        ("僵", ["僵"]),
        ("AKIRAの街 2", ["akira", "の街", "2"]),
        ("ที่", ["ที่"]),
        ("snake_case 24/7", ["snake", "case", "24", "7"]),
    ],
)
def test_words_of_every_script(text, words):
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("我爱北京天安门", ["我", "爱", "北京", "天安门"]),
        ("東京物語は2本", ["東京", "物語", "は", "2", "本"]),
        ("ภาพยนตร์เรื่องนี้ดีมาก", ["ภาพยนตร์", "เรื่อง", "นี้", "ดี", "มาก"]),
        ("AKIRA's भूत", ["akira's", "भूत"]),
    ],
)
def test_words_of_a_dictionary(text, words):
    assert words_of(text, "dictionary") == words


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (HINDI, "hi"),
        (FRENCH, "fr"),
        (GERMAN, "de"),
        ("A ghost haunts the ship of a young captain", "en"),
        ("storm chasers tornado", "en"),
        ("space marines alien planet", "en"),
        ("die hard", "en"),
        ("", "en"),
    ],
)
def test_the_language_is_told_by_its_stop_words(text, language):
    assert language_of(words_of(text)) == language


def test_stop_words_of_the_text_s_language_are_left_out():
    assert "भूत" in content(HINDI)
    assert not {"और", "है", "को"} & set(content(HINDI))
    assert content(FRENCH)[:3] == ["homme", "perdu", "fils"]
    assert "der" not in content(GERMAN)
    assert "the" in stop_words("en")


def test_stems_are_those_of_the_language():
    assert stems_of(["haunted", "haunting"], "en") == ["haunt", "haunt"]
    assert stems_of(["hantées", "hantée"], "fr") == ["hant", "hant"]
    assert stems_of(["भूतों"], "hi") == ["भूतों"]
