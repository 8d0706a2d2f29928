"""Ranked lists -> relevance scores of the recommender and of the baseline rankers."""
