"""Ranked lists -> relevance scores, beside baseline rankers."""
