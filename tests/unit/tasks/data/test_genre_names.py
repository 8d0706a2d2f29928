import pytest

from tasks.data.genre_names import NAMES, genre_name


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        *[("SCI-FI", "Science Fiction"), ("sci fi", "Science Fiction")],
        *[("SciFi", "Science Fiction"), ("science-fiction", "Science Fiction")],
        *[("children's", "Children's"), ("CHILDREN’S", "Children's"), ("film noir", "Film-Noir")],
        *[("drama", "Drama"), ("TV MOVIE", "TV Movie"), ("imax", "IMAX"), ("war", "War")],
        *[("sword & sandal", "Sword & Sandal"), ("SPACE OPERA", "Space Opera")],
        *[
            ("BL", "BL"),
            ("New wave", "New Wave"),
            ("Slice Of Life", "Slice of Life"),
            ("恐怖", "恐怖"),
            ("डरावनी", "डरावनी"),
        ],
    ],
)
def test_spellings_of_a_genre_have_one_name(spelling, name):
    assert genre_name(spelling) == name


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_genre_is_its_own_spelling(name):
    assert genre_name(name) == genre_name(name.lower()) == genre_name(name.upper()) == name
