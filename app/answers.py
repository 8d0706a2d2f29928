"""What the JSON API answers, as its page at `/docs` describes it."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

Closeness = Literal["very close", "close", "related", "loosely related"]


class Problem(BaseModel):
    """Why there is no answer, and what to change."""

    detail: str = Field(description="One sentence for a person")


class Movie(BaseModel):
    """A movie of the catalogue."""

    source: str = Field(description="Source that the movie was read from")
    id: str = Field(description="Id in its source; `id` of `/api/recommend`")
    title: str
    year: int | None = Field(description="Release year; null if unknown")
    genres: list[str]


class Completion(Movie):
    """A movie whose title completes the typed text."""

    exact: bool = Field(description="Whether the title equals the typed text")


class MeantMovie(Movie):
    """The movie that a title alone means."""

    note: str = Field(description="Names the others that could be meant; empty if there are none")


class Titles(BaseModel):
    """Completions of a typed text."""

    titles: list[Completion] = Field(description="At most eight, the best known first")
    meant: MeantMovie | None = Field(description="Null if the text means no movie, or several")


class Genres(BaseModel):
    """Genres of the catalogue."""

    genres: list[str] = Field(description="Sorted by name")


class Languages(BaseModel):
    """Original languages of the catalogue."""

    languages: list[str] = Field(description="ISO 639-1 codes, the most frequent first")


class ServedVersion(BaseModel):
    """The version of the registered model that answers."""

    version: str = Field(description="Its number in the MLflow registry")
    registered: datetime | None = Field(description="When it was registered, in UTC")
    movies: int = Field(description="Movies of its catalogue")


class Health(BaseModel):
    """The service answers."""

    status: Literal["ok"]
    version: str = Field(description="Number of the version in the MLflow registry")
    movies: int = Field(description="Movies of its catalogue")


class Why(BaseModel):
    """What a movie has in common with the question."""

    words: list[str] = Field(description="At most five, as the movie's own text writes them")
    people: list[str]
    keywords: list[str]
    genres: list[str]
    content: float = Field(description="Cosine of the story vectors")
    genre: float = Field(description="Similarity of the genres")
    shares: dict[str, float] = Field(
        description="Contribution of each feature to the score; their sum is the score"
    )


class Recommendation(Movie):
    """A recommended movie and why it is recommended."""

    score: float = Field(description="Weighted mean of the similarity features")
    closeness: Closeness = Field(
        description="The score in words, relative to the score of the question itself"
    )
    overview: str
    why: Why


class AskedMovie(Movie):
    """A movie of the question, and those that its title could mean too."""

    alternatives: list[Movie] = Field(description="At most five, the best known first")


class Recommendations(BaseModel):
    """Recommended movies, and the question as it was understood."""

    question: str = Field(description="Titles and years of the movies asked for, or the text")
    notes: list[str] = Field(description="Which movie was taken where a title can mean several")
    version: str = Field(description="Number of the model version that answered")
    asked: list[AskedMovie] = Field(description="The movies asked for; empty for a text")
    movies: list[Recommendation] = Field(description="Best first")
