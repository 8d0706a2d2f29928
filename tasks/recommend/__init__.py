"""Vectors and genres -> index of movies, similarity search and ranked lists."""
