import pytest
from pydantic import ValidationError

from flows.cli.command_line import parse
from flows.cli.predict import PredictConfig, genres_of
from tasks.recommend.text_model import GenrePrediction

ANSWER = GenrePrediction(["War", "Drama"], {"Comedy": 0.1, "Drama": 0.5, "War": 0.7, "Music": 0.3})


def test_genres_over_their_thresholds_come_most_probable_first():
    assert list(genres_of(ANSWER, None).items()) == [("War", 0.7), ("Drama", 0.5)]


def test_the_top_n_are_taken_whatever_their_thresholds():
    assert genres_of(ANSWER, 3) == {"War": 0.7, "Drama": 0.5, "Music": 0.3}


def test_nothing_is_said_of_a_text_without_known_words():
    assert genres_of(GenrePrediction([], {}), None) == genres_of(GenrePrediction([], {}), 3) == {}


@pytest.mark.parametrize("given", [{}, {"title": "Alien", "text": "A ship."}])
def test_exactly_one_question_is_asked(given):
    with pytest.raises(ValidationError, match="one of a title, --text or --file"):
        PredictConfig.model_validate(given)


def test_flags_of_the_command_line():
    config = parse(PredictConfig, "predict", ["--text", "A ship.", "--top-n", "3", "--json"])
    assert (config.text, config.top_n, config.as_json) == ("A ship.", 3, True)
    assert parse(PredictConfig, "predict", ["Alien", "--year", "1979"]).title == "Alien"
