"""Movies, franchises and users of a chosen half of the judgements, and files of their ratings."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from tasks.core.contracts import RatingsRef
from tasks.data.companions.reference_files import ratings_digest
from tasks.recommend.evaluation.relevance import Half, half_of

HALVES: tuple[Half, ...] = ("choosing", "reported")
MOST = 10_000  # names and users that are tried: a half that is empty must not be an endless loop
#: A user, and the TMDB id of a movie that the user likes.
Like = tuple[int, int]


def names_of_half(prefix: str, half: Half, number: int) -> list[str]:
    """The first names `Alien 0`, `Alien 1` and so on of franchises that belong to a half."""
    names = (f"{prefix} {position}" for position in range(MOST))
    return list(islice((name for name in names if half_of(f"franchise {name}") == half), number))


def users_of_half(half: Half, number: int) -> list[int]:
    """The first user ids that belong to a half, in ascending order."""
    return list(islice((user for user in range(MOST) if half_of(f"user {user}") == half), number))


def group_likes(users: Sequence[int], movies: Sequence[range]) -> list[Like]:
    """Likes of users who each like all movies of one range; the ranges have equally many users."""
    return [
        (user, movie)
        for position, user in enumerate(users)
        for movie in movies[position * len(movies) // len(users)]
    ]


def two_groups() -> list[Like]:
    """Of each half, twelve users who like the movies 1 to 30, and twelve who like 31 to 60."""
    movies = [range(1, 31), range(31, 61)]
    return [like for half in HALVES for like in group_likes(users_of_half(half, 24), movies)]


def write_ratings(
    folder: Path, source: str = "m", likes: Iterable[Like] | None = None
) -> RatingsRef:
    """Ratings of five stars, of `two_groups` by default; MovieLens and TMDB ids are equal."""
    ratings, links = folder / "ratings.csv", folder / "links.csv"
    lines = [f"{user},{movie},5.0,0" for user, movie in (two_groups() if likes is None else likes)]
    ratings.write_text("\n".join(["userId,movieId,rating,timestamp", *lines]) + "\n")
    lines = [f"{n},0,{n}" for n in range(1, 121)]
    links.write_text("\n".join(["movieId,imdbId,tmdbId", *lines]) + "\n")
    digest = ratings_digest((ratings, links))
    return RatingsRef(source=source, files=(ratings, links), digest=digest)
