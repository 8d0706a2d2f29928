"""Scores and tables of the classifier and of the baselines on test movies."""
