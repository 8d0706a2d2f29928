import pytest

from tasks.data.titles import has_year, read_dated_title, with_leading_article


@pytest.mark.parametrize(
    ("text", "title", "year"),
    [
        ("Matrix, The (1999)", "The Matrix", 1999),
        ("Star Wars (1977)", "Star Wars", 1977),
        ("Ex Machina", "Ex Machina", None),
        ("2001: A Space Odyssey (1968)", "2001: A Space Odyssey", 1968),
        (
            "City of Lost Children, The (Cité des enfants perdus, La) (1995)",
            "The City of Lost Children (Cité des enfants perdus, La)",
            1995,
        ),
        ("Avventura, L' (1960)", "L'Avventura", 1960),
        ("Fawlty Towers (1975-1979)", "Fawlty Towers", 1975),
        ("(1999)", "(1999)", None),
    ],
)
def test_a_dated_title_has_its_article_in_front(text, title, year):
    assert read_dated_title(text) == (title, year)


@pytest.mark.parametrize("title", ["The Good, the Bad and the Ugly", "Me, Myself", ", The", "1917"])
def test_other_commas_stay_where_they_are(title):
    assert with_leading_article(title) == title
    assert not has_year(title)
