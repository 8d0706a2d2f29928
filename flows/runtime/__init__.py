"""Where flows run: servers, hooks, signals, the local stack and its automations."""

PROGRAM = "movie-recommender"  # the console script
