import pytest
from pydantic import ValidationError

from flows.cli.command_line import parse
from flows.cli.subcommands.predict import PredictConfig, read_input, select_genres
from tasks.recommend.search import get_version
from tasks.recommend.text_model import GenrePrediction
from tests.support.published_catalogue import demo_index  # noqa: F401 - a fixture

PROBABILITIES = {"Comedy": 0.1, "Drama": 0.5, "War": 0.7, "Music": 0.3}
PREDICTION = GenrePrediction(["War", "Drama"], PROBABILITIES)


def test_genres_above_their_thresholds_are_sorted_by_probability():
    assert list(select_genres(PREDICTION, None).items()) == [("War", 0.7), ("Drama", 0.5)]


def test_the_top_n_genres_ignore_the_thresholds():
    assert select_genres(PREDICTION, 3) == {"War": 0.7, "Drama": 0.5, "Music": 0.3}


@pytest.mark.parametrize("top_n", [None, 3])
def test_a_text_without_known_words_has_no_genres(top_n):
    assert select_genres(GenrePrediction([], {}), top_n) == {}


@pytest.mark.parametrize("settings", [{}, {"title": "Alien", "text": "A ship."}])
def test_exactly_one_input_is_required(settings):
    with pytest.raises(ValidationError, match="one of a title, --text or --file"):
        PredictConfig.model_validate(settings)


def test_flags_of_the_command_line():
    config = parse(PredictConfig, "predict", ["--text", "A ship.", "--top-n", "3", "--json"])
    assert (config.text, config.top_n, config.as_json) == ("A ship.", 3, True)
    assert parse(PredictConfig, "predict", ["Alien", "--year", "1979"]).title == "Alien"


@pytest.mark.parametrize("year", [1950, 2015])
def test_the_year_selects_among_movies_of_a_title(demo_index, year):  # noqa: F811
    version = get_version(demo_index)
    ((movie,),) = read_input(PredictConfig(title="Cinderella", year=year), demo_index)
    catalogue = version.catalogue
    assert catalogue.movie(catalogue.positions["m", str(movie.id)])["year"] == year
