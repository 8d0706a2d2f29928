"""Lists of the current champion."""

from tasks.recommend.query import RecommendationRequest, query_from_movies, recommend
from tasks.recommend.search import get_version
from tasks.registry.champion import load_champion


def titles_like(title: str) -> list[str]:
    champion, request = load_champion(), RecommendationRequest(titles=[title])
    version = get_version(champion.index)
    query = query_from_movies(request, version)
    return [movie["title"] for movie in recommend(query, request, version, champion.rank)]
