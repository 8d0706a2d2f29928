import pytest
from pydantic import ValidationError

from flows.cli.command_line import parse
from flows.cli.subcommands.recommend import RecommendConfig, quotes_advised, reasons, write_csv
from tasks.core.contracts import UserError


def test_flags_of_the_command_line():
    flags = ["--id", "603", "--genre", "Action", "--genre", "War", "--not-genre", "Horror"]
    flags += ["--from-year", "1990", "--to-year", "2009", "--language", "en", "--json"]
    config = parse(RecommendConfig, "recommend", flags)
    assert (config.id, config.genre, config.not_genre) == ("603", ["Action", "War"], ["Horror"])
    assert (config.from_year, config.to_year, config.language) == (1990, 2009, "en")
    assert config.as_json


def test_several_titles_are_one_query():
    config = parse(RecommendConfig, "recommend", ["Alien", "Gravity", "--limit", "3"])
    assert (config.titles, config.limit) == (["Alien", "Gravity"], 3)


@pytest.mark.parametrize("settings", [{}, {"titles": ["Alien"], "text": "A ship."}])
def test_a_query_is_either_movies_or_a_text(settings):
    with pytest.raises(ValidationError, match="Give titles, --id or --text"):
        RecommendConfig.model_validate(settings)


@pytest.mark.parametrize(
    ("titles", "message"),
    [
        (["It's", "here"], """unknown A title with spaces needs quotes: 'It'"'"'s here'."""),
        (["Vertical"], "unknown"),
        (["Vertical Limit", "Alien"], "unknown"),
    ],
)
def test_words_that_are_no_titles_may_be_one_title_without_quotes(titles, message):
    with pytest.raises(UserError) as caught, quotes_advised(titles):
        raise UserError("unknown")
    assert str(caught.value) == message


WHY = {
    "words": ["ship", "crew"],
    "people": ["Sigourney Weaver"],
    "keywords": [],
    "genres": ["Horror"],
    "shares": {"words": 0.1, "year": 0.3, "votes": 0.0},
}


def test_reasons_are_what_is_shared_and_the_parts_of_the_score():
    assert reasons(WHY) == (
        "ship, crew; Horror; with Sigourney Weaver\nrelease year 75%, words 25%"
    )


def test_an_explained_csv_has_a_column_of_reasons(capsys):
    movie = {"source": "m", "id": "1", "title": "Alien", "year": 1979, "genres": ["Horror"]}
    write_csv([movie | {"score": 0.5, "why": WHY}])
    header, line = capsys.readouterr().out.splitlines()
    assert header == "source,id,title,year,genres,score,why"
    assert line == 'm,1,Alien,1979,Horror,0.5000,"ship, crew; Horror; with Sigourney Weaver"'


@pytest.mark.parametrize("sign", "=+-@")
def test_a_title_that_a_spreadsheet_would_run_is_quoted(sign, capsys):
    movie = {"source": "m", "id": "1", "title": f"{sign}A1", "year": None, "genres": ["A", "B"]}
    write_csv([movie | {"score": 0.5}])
    assert capsys.readouterr().out.splitlines()[1] == f"m,1,'{sign}A1,,A|B,0.5000"
