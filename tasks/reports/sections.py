"""Sections of the report: figures and tables, their titles and captions."""

from typing import NamedTuple

from tasks.reports.summary import ONE_GENRE

NOT_DRAWN = "This figure was not drawn in this run."
LEAKY_RUN = "Not compared with the champion: the scores of this run leak."
NO_CHAMPION = "There was no champion to compare with."
DAMAGED_CHAMPION = "The champion is damaged and could not be compared."
NOTHING_SHARED = "The champion and this run share no movies and no queries to be compared on."
NO_QUERIES = (
    "The recommendations cannot be scored: the source has no keywords, no two movies of the same "
    "collection, no ratings and no known items."
)


class Panel(NamedTuple):
    """A figure of the report: file stem, title, caption, and the text if it is missing."""

    name: str
    title: str
    caption: str
    missing: str = NOT_DRAWN


class TablePanel(NamedTuple):
    """A table of the report: file stem, section, title, and the text if it is empty."""

    name: str
    section: str
    title: str
    missing: str


SECTIONS: dict[str, tuple[Panel, ...]] = {
    "Recommendations": (
        Panel(
            "relevance_popularity",
            "Relevance and popularity bias",
            "Good lists are high and on the left: relevant, without the same movies everywhere.",
            NO_QUERIES,
        ),
        Panel(
            "relevance_by_scorer",
            "Relevance by judgement",
            "This run and the baselines on the same queries, those of the reported half. A list by "
            "genre, year and votes alone can agree best with users' likes: many like the films of "
            "their time, whatever those are about.",
            NO_QUERIES,
        ),
    ),
    "Genres": (
        Panel(
            "genre_bars",
            "F1 per genre",
            "Bars: this run. Marks: TF-IDF. In brackets: number of test movies.",
        ),
        Panel(
            "thresholds",
            "F1 by threshold",
            "Scores on the test movies at other thresholds; grey: the range of those in use.",
            ONE_GENRE,
        ),
        Panel(
            "reliability",
            "Reliability",
            "On the dashed line, predictions with a probability of 70% are right 7 times in 10.",
            ONE_GENRE,
        ),
        Panel(
            "precision_recall",
            "Precision and recall",
            "A curve closer to the upper right is better; the dashed line is random guessing.",
            ONE_GENRE,
        ),
        Panel(
            "cooccurrence",
            "Genres that occur together",
            "Share of a row's movies that also have the genre of the column. The predicted matrix "
            "should look like the true one.",
            ONE_GENRE,
        ),
    ),
    "Map": (),
    "Training": (
        Panel(
            "training",
            "Training curves",
            "Both losses should fall; if only the validation loss rises, the network overfits.",
        ),
        Panel("texts", "Texts", "Length of the documents and frequency of the words."),
        Panel(
            "stages",
            "Time per stage",
            "A bar per stage from its start to its end; cached stages take almost no time.",
            "The Prefect server had not recorded the stages when this report was written.",
        ),
    ),
    "Source": (
        Panel(
            "drift",
            "Drift from the champion's source",
            "Shares of movies in both sources; bars of different length mean drift.",
            "There was no champion when this run started, so there is no source to compare with.",
        ),
    ),
}

TABLES = (
    TablePanel("genres", "Genres", "Scores per genre", "No genre was scored."),
    TablePanel("slices", "Genres", "Scores per group of movies", "No movie was scored."),
    TablePanel("mistakes", "Genres", "Most confident errors", "All predictions are correct."),
    TablePanel("behaviour", "Recommendations", "Behaviour of the lists", "No list was checked."),
)
