import pytest
from pydantic import ValidationError

from flows.cli.command_line import parse
from flows.cli.recommend import RecommendConfig, reasons, select_movie, write_csv
from tasks.core.contracts import UserError

FOUND = [
    {"id": 6006, "title": "Cinderella", "year": 2001},
    {"id": 6007, "title": "x", "year": None},
]


def test_the_only_movie_of_a_title_is_meant():
    assert select_movie("Cinderella", FOUND[:1], None) == FOUND[0]


def test_an_id_tells_movies_of_the_same_title_and_year_apart():
    assert select_movie("Cinderella", FOUND, 6007) == FOUND[1]


@pytest.mark.parametrize("movie_id", [None, 1])
def test_movies_that_cannot_be_told_apart_are_listed(movie_id):
    with pytest.raises(UserError) as caught:
        select_movie("Cinderella", FOUND, movie_id)
    assert str(caught.value) == (
        "Movies called 'Cinderella': Cinderella (2001), id 6006; x, id 6007. "
        "Say which with --year or --id."
    )


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
