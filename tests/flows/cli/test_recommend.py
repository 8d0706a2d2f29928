import pytest
from pydantic import ValidationError

from flows.cli.command_line import parse
from flows.cli.recommend import RecommendConfig, reasons, write_csv


def test_flags_of_the_command_line():
    flags = ["--id", "603", "--genre", "Action", "--genre", "War", "--not-genre", "Horror"]
    flags += ["--from-year", "1990", "--to-year", "2009", "--language", "en", "--json"]
    config = parse(RecommendConfig, "recommend", flags)
    assert (config.id, config.genre, config.not_genre) == (603, ["Action", "War"], ["Horror"])
    assert (config.from_year, config.to_year, config.language) == (1990, 2009, "en")
    assert config.as_json


def test_several_titles_are_one_query():
    config = parse(RecommendConfig, "recommend", ["Alien", "Gravity", "--limit", "3"])
    assert (config.titles, config.limit) == (["Alien", "Gravity"], 3)


@pytest.mark.parametrize("settings", [{}, {"titles": ["Alien"], "text": "A ship."}])
def test_a_query_is_either_movies_or_a_text(settings):
    with pytest.raises(ValidationError, match="Give titles, --id or --text"):
        RecommendConfig.model_validate(settings)


def test_reasons_list_the_largest_contribution_first():
    why = {"words": ["ship"], "genres": [], "content": 0.5, "genre": 0.25}
    text = reasons(why | {"shares": {"words": 0.1, "year": 0.3, "votes": 0.0}})
    assert text == "words: ship\ngenres: –\ncontent 0.50, genre 0.25\nyear 0.300; words 0.100"


def test_a_title_that_a_spreadsheet_would_run_is_quoted(capsys):
    movie = {"source": "m", "id": 1, "title": "=HYPERLINK(1)", "year": None, "genres": ["A", "B"]}
    write_csv([movie | {"score": 0.5}])
    assert capsys.readouterr().out.splitlines()[1] == "m,1,'=HYPERLINK(1),,A|B,0.5000"
