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
    several = parse(RecommendConfig, "recommend", ["Alien", "Gravity", "--limit", "3"])
    assert (several.titles, several.limit) == (["Alien", "Gravity"], 3)


@pytest.mark.parametrize("given", [{}, {"titles": ["Alien"], "text": "A ship."}])
def test_titles_or_an_id_or_a_text_is_asked(given):
    with pytest.raises(ValidationError, match="Give titles, --id or --text"):
        RecommendConfig.model_validate(given)


def test_reasons_name_the_greatest_share_first():
    why = {"words": ["ship"], "genres": [], "content": 0.5, "genre": 0.25}
    said = reasons(why | {"shares": {"words": 0.1, "year": 0.3, "votes": 0.0}})
    assert said == "words: ship\ngenres: –\ncontent 0.50, genre 0.25\nyear 0.300; words 0.100"


def test_a_title_that_a_spreadsheet_would_run_is_quoted(capsys):
    movie = {"source": "m", "id": 1, "title": "=HYPERLINK(1)", "year": None, "genres": ["A", "B"]}
    write_csv([movie | {"score": 0.5}])
    assert capsys.readouterr().out.splitlines()[1] == "m,1,'=HYPERLINK(1),,A|B,0.5000"
