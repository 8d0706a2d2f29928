"""A little catalogue with everything that a training reads, written as files.

Its movies have several genres whose words overlap a little, collections, people, keywords, votes,
two languages, duplicates, and damaged rows; ratings and questions lie beside it. A second source
has other movies with the same ids.
"""

import json
from pathlib import Path

from tests.conftest import COLUMNS, write_csv

FIRST_ID = 1000
MOVIES = 150  # rows before the duplicates and the damaged rows
USERS_PER_GENRE = 40
#: Words of each genre. Every genre shares one word or two with others.
VOCABULARIES = {
    "Horror": ["ghost", "haunted", "blood", "monster", "scream", "grave", "curse", "midnight"],
    "Western": ["sheriff", "cowboy", "saloon", "ranch", "outlaw", "horse", "frontier", "stage"],
    "Music": ["singer", "band", "concert", "guitar", "piano", "melody", "midnight", "stage"],
    "Drama": ["mother", "letter", "exile", "winter", "promise", "funeral", "farewell", "curse"],
    "Comedy": ["wedding", "joke", "clumsy", "neighbour", "prank", "mistake", "party", "horse"],
}
FIRST_GENRES = ("Horror", "Western", "Music")  # by number; Drama or Comedy are second genres
SECOND_GENRES = (None, "Drama", "Comedy")
STARTS = ("ar", "bel", "cor", "dun", "el", "fal", "gor", "hal", "jor", "kel", "lam", "mor")
ENDS = ("bury", "dale", "den", "field", "ford", "ham", "ley", "stead", "ton", "wick", "worth", "by")
TOWNS = [f"{start}{end}".title() for start in STARTS for end in ENDS]  # one for each collection
#: Train movie that alone has the genre War: too few to learn, unless `label.min_support` is 1.
WAR_MOVIE = FIRST_ID + 8
#: Movies of which there is a second one with the same overview, or with the same title and year.
COPIED_OVERVIEW, COPIED_TITLE = FIRST_ID + 9, FIRST_ID + 10
#: Id, question; the last word of a question is in the overview of its movie and in no other. The
#: second movie is in the choosing half, the others are in the reported half.
QUESTIONS = {
    1000: "the curse of a lighthouse",
    1097: "an outlaw on a submarine",
    1062: "the guitar of an astronaut",
}
#: Shares with more test movies than by default, so that scores say something.
SPLIT = {"test_share": 0.2, "gate_share": 0.15, "validation_share": 0.15}
RICH_COLUMNS = [*COLUMNS, "keywords", "director", "cast", "vote_count", "original_language"]
#: Rows of `movies.csv`, those that are kept (one of them without genres), and those that are not.
ROWS, KEPT, UNLABELLED = MOVIES + 6, MOVIES + 3, 1
QUARANTINED = {"bad_id": 1, "placeholder_overview": 1, "duplicate_id": 1}
CLASSES = sorted(VOCABULARIES)  # genres that are learned
Row = dict[str, str]


def genres_of(number: int) -> list[str]:
    """The genres of a movie: every third one has its first genre alone."""
    second = SECOND_GENRES[number // 3 % 3]
    extra = [second] if second else []
    return [FIRST_GENRES[number % 3], *extra, *(["War"] if number == WAR_MOVIE - FIRST_ID else [])]


def words_of(number: int, genre: str, count: int) -> list[str]:
    words = VOCABULARIES[genre]
    return [words[(number * step + step // 2) % len(words)] for step in (1, 3, 5)[:count]]


def collection_of(number: int) -> int:
    """Number of a movie's collection: two movies of one first genre, three apart."""
    return number // 6 * 3 + number % 3


def rich_movie(number: int) -> Row:
    """A movie whose overview has words of its genres and the town of its collection."""
    genres, collection = genres_of(number), collection_of(number)
    title, town = f"{genres[0]} Story {number}", TOWNS[collection]
    words = [word for genre in genres[:2] for word in words_of(number, genre, 3)]
    if number % 4 == 0:  # a word that misleads
        words += words_of(number, FIRST_GENRES[(number + 1) % 3], 1)
    question = QUESTIONS.get(FIRST_ID + number, "").split()[-1:]
    keywords = [word for place, word in enumerate(VOCABULARIES[genres[0]]) if place != number % 8]
    return {
        "adult": "False",
        "belongs_to_collection": f"{{'id': {collection}, 'name': '{genres[0]} of {town}'}}",
        "cast": json.dumps([f"Star of {genres[0]}", f"Actor {number}"]),
        "director": f"Director of {town}",
        "genres": json.dumps([{"id": 1, "name": name} for name in genres]),
        "id": str(FIRST_ID + number),
        "keywords": json.dumps(keywords),
        "original_language": "fr" if number % 5 == 4 else "en",
        "overview": " ".join([f"In {town}, chapter {number}:", *words, *question]) + ".",
        "release_date": f"{1950 + number % 60}-02-03",
        "title": title,
        "vote_count": str((number * 37 % MOVIES) ** 2),
    }


def rich_movies() -> list[Row]:
    return [rich_movie(number) for number in range(MOVIES)]


def duplicates() -> list[Row]:
    """A movie with the overview of another, and one with the title and year of another."""
    alone = {"belongs_to_collection": "", "vote_count": "0"}
    same_overview = rich_movie(COPIED_OVERVIEW - FIRST_ID) | alone
    same_title = rich_movie(COPIED_TITLE - FIRST_ID) | alone
    return [
        same_overview | {"id": str(FIRST_ID + MOVIES), "title": "Restored"},
        same_title | {"id": str(FIRST_ID + MOVIES + 1), "overview": "A ranch and an outlaw again."},
    ]


def damaged_rows() -> list[Row]:
    """A movie without genres, and three rows that are put into quarantine."""
    return [
        rich_movie(152) | {"genres": "[]"},
        rich_movie(153) | {"id": "1997-08-20"},
        rich_movie(154) | {"overview": "No overview found."},
        rich_movie(3) | {"overview": "The same id once more."},
    ]


def write_ratings(folder: Path) -> None:
    """Users who like all movies of a first genre; they have seen and dislike the others."""
    numbers, users = range(MOVIES), range(USERS_PER_GENRE * len(FIRST_GENRES))
    ratings = [
        f"{user},{number + 1},{5.0 if number % 3 == user % 3 else 2.0},0"
        for user in users
        for number in numbers
    ]
    lines = ["userId,movieId,rating,timestamp", *ratings]
    (folder / "ratings_small.csv").write_text("\n".join(lines) + "\n")
    links = [f"{number + 1},0,{FIRST_ID + number}" for number in numbers]
    (folder / "links_small.csv").write_text("\n".join(["movieId,imdbId,tmdbId", *links]) + "\n")


def write_questions(folder: Path, questions: dict[int, str]) -> None:
    items = [{"id": str(movie_id), "query": text} for movie_id, text in questions.items()]
    write_csv(folder / "known_items.csv", items, ["id", "query"])


def write_rich_source(folder: Path) -> Path:
    """Write `movies.csv` with ratings, links and questions beside it; returns the path of it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_ratings(folder)
    write_questions(folder, QUESTIONS)
    rows = [*rich_movies(), *duplicates(), *damaged_rows()]
    return write_csv(folder / "movies.csv", rows, RICH_COLUMNS)


def second_source(count: int) -> list[Row]:
    """Films with the ids of the first movies, but with other texts and titles."""
    return [
        rich_movie(MOVIES + 60 + number)
        | {"id": str(FIRST_ID + number), "title": f"Film {number}", "belongs_to_collection": ""}
        for number in range(count)
    ]
