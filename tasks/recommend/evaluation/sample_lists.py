"""Catalogue and ranking weights -> lists of well-known films, for judging by eye."""

import numpy as np
import pyarrow as pa

from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.baseline_rankers import recommender_scorer
from tasks.recommend.evaluation.relevance_scores import ranked_lists
from tasks.recommend.scoring import RankConfig
from tasks.recommend.search import title_with_year

SAMPLE_LISTS = pa.schema([("film", pa.string()), ("movies like it", pa.list_(pa.string()))])
KNOWN_FILMS = (
    "Toy Story",
    "The Godfather",
    "Alien",
    "The Dark Knight",
    "Pulp Fiction",
    "Titanic",
    "The Matrix",
    "Jurassic Park",
    "The Lord of the Rings: The Fellowship of the Ring",
    "Harry Potter and the Philosopher's Stone",
    "Star Wars",
    "Casablanca",
    "Psycho",
    "Finding Nemo",
    "Vertical Limit",
    "Notting Hill",
    "Gladiator",
    "The Shining",
    "Rocky",
    "Amélie",
)


def sample_lists(catalogue: Catalogue, config: RankConfig) -> pa.Table:
    """Columns `film` and `movies like it` (a list), one row per known film of the catalogue."""
    rows = known_film_rows(catalogue)
    scorer = recommender_scorer(catalogue, config)
    lists = ranked_lists(catalogue, rows, scorer, config.diversity)
    films = [catalogue.movie(row)["title"] for row in rows]
    titles = [_titles(catalogue, hits) for hits in lists.tolist()]
    return pa.table({"film": films, "movies like it": titles}, SAMPLE_LISTS)


def known_film_rows(catalogue: Catalogue) -> list[int]:
    """Rows of the known films; of several movies of a title, the one with most votes."""
    titles = catalogue.movies["title"].to_pylist()
    by_votes = np.argsort(catalogue.features.votes, kind="stable").tolist()
    row_by_title = {titles[row]: row for row in by_votes}
    return [row_by_title[title] for title in KNOWN_FILMS if title in row_by_title]


def _titles(catalogue: Catalogue, rows: list[int]) -> list[str]:
    """Titles with years of a list; -1 fills short lists."""
    return [title_with_year(catalogue.movie(row)) for row in rows if row >= 0]
