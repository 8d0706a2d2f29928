"""The log of what is no part of a single task run: on the terminal, and at Prefect of a run."""

import logging

NAME = "prefect.movie_recommender"  # below Prefect's, whose handlers it has
logger = logging.getLogger(NAME)
