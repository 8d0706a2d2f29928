"""Index rows -> a 2-D map of the catalogue, with similar movies close together."""

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from tasks.reports.run_plots import MAP_COLOURS

Array = NDArray[np.float32]
MAX_TSNE_MOVIES = 2500  # the other movies are placed between their nearest t-SNE neighbours
PCA_COMPONENTS = 50
NEIGHBOURS = 5
MAX_MAP_MOVIES = 50_000  # of a larger catalogue, an even sample is drawn
GENRE_WEIGHT = 0.8
GRID_STEPS = 30_000  # from the centre to the edge of the interactive map; fits into int16
NO_GENRE = "no genre"
SYMBOLS = ("diamond", "cross", "triangle-up", "star")  # of the less frequent genres


def map_vectors(rows: pa.Table) -> Array:
    """Vectors (n, size) that the map compares: content, and genres times GENRE_WEIGHT.

    Text vectors alone show no genre structure. Clusters of a genre therefore partly come from the
    genres themselves, and the report says so.
    """
    content, genres = (
        rows[name]
        .combine_chunks()
        .flatten()
        .to_numpy(zero_copy_only=False)
        .reshape(rows.num_rows, -1)
        for name in ("content", "genre_vector")
    )
    return np.hstack([content, GENRE_WEIGHT * genres])


def map_positions(vectors: Array, seed: int = 0) -> Array:
    """Positions (n, 2) of vectors (n, size) by PCA and t-SNE (van der Maaten & Hinton, 2008).

    t-SNE places a sample of the movies; the others are interpolated. Very few vectors are drawn by
    their first two components.
    """
    rank = min(PCA_COMPONENTS, *vectors.shape)
    if rank < 3 or len(vectors) < 3 * NEIGHBOURS:
        positions = np.zeros((len(vectors), 2), np.float32)
        positions[:, : min(2, vectors.shape[1])] = vectors[:, :2]
        return positions
    reduced = PCA(rank, svd_solver="randomized", random_state=seed).fit_transform(vectors)
    sample = reduced[np.random.default_rng(seed).permutation(len(reduced))[:MAX_TSNE_MOVIES]]
    perplexity = min(30.0, (len(sample) - 1) / 3)
    tsne = TSNE(init="pca", perplexity=perplexity, max_iter=500, random_state=seed, n_jobs=1)
    return interpolate(reduced, sample, tsne.fit_transform(sample))


def interpolate(vectors: Array, sample: Array, sample_positions: Array) -> Array:
    """Positions (n, 2): means of the nearest sample positions, by inverse square distance."""
    distances, nearest = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(sample).kneighbors(vectors)
    weights = 1 / (distances + 1e-6) ** 2
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray((sample_positions[nearest] * weights[..., None]).sum(axis=1), np.float32)


def sample_movies(
    chunks: Iterable[pa.Table], rows: int, max_rows: int = MAX_MAP_MOVIES
) -> pa.Table:
    """Every k-th of the `rows` movies in `chunks`, with the smallest k for at most `max_rows`."""
    step, first, samples = max(1, -(-rows // max_rows)), 0, list[pa.Table]()
    for chunk in chunks:
        samples.append(chunk.take(pa.array(range(-first % step, chunk.num_rows, step), pa.int64())))
        first += chunk.num_rows
    return pa.concat_tables(samples)


def build_map(sample: pa.Table) -> pa.Table:
    """Columns x, y, title with year, and first genre of the movies in an index sample."""
    positions = map_positions(map_vectors(sample))
    years, titles = sample["year"].to_pylist(), sample["title"].to_pylist()
    titles = [f"{t} ({y})" if y else t for t, y in zip(titles, years, strict=True)]
    genres = [names[0] if names else NO_GENRE for names in sample["genres"].to_pylist()]
    return pa.table({"x": positions[:, 0], "y": positions[:, 1], "title": titles, "genre": genres})


def frequent_genres(genres: Sequence[str]) -> list[str]:
    """The genres that are coloured, most frequent first."""
    counts = Counter(name for name in genres if name != NO_GENRE)
    return [name for name, _ in counts.most_common(len(MAP_COLOURS))]


def interactive_map(table: pa.Table) -> go.Figure:
    """The map of `build_map` as a plotly figure with titles, a trace per genre, frequent ones last.

    The `meta` of a trace has its genre, and whether that is coloured at first. Less frequent ones
    have the colours of frequent ones with other markers, for when the reader asks for all.
    """
    genres = np.array(table["genre"].to_pylist(), dtype=object)
    counts = Counter(genres.tolist())
    order = sorted(counts, key=lambda name: (name != NO_GENRE, counts[name]))
    frequent = frequent_genres(genres.tolist())
    extent = max(np.abs(table[axis].to_numpy()).max(initial=0) for axis in ("x", "y"))
    figure = go.Figure()
    for name in order:
        movies = table.filter(pa.array(genres == name))
        is_frequent = name in frequent
        marker = _marker((frequent if is_frequent else order).index(name), is_frequent)
        figure.add_trace(_trace(movies, name, marker, scale=GRID_STEPS / (extent or 1)))
        figure.data[-1].meta = {"genre": name, "frequent": is_frequent}
    axis = {"showgrid": False, "zeroline": False, "showticklabels": False}
    figure.update_layout(template="none", xaxis=axis, yaxis=axis, dragmode="pan")
    figure.update_layout(
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        legend={"itemsizing": "constant", "traceorder": "reversed"},
    )
    return figure


def _marker(number: int, is_frequent: bool) -> dict[str, Any]:
    """Colour and symbol of a genre: circles for frequent ones, other symbols for the others."""
    symbol = "circle" if is_frequent else SYMBOLS[number // len(MAP_COLOURS) % len(SYMBOLS)]
    colour = MAP_COLOURS[number % len(MAP_COLOURS)]
    return {"color": colour, "symbol": symbol, "size": 5, "opacity": 0.7}


def _trace(movies: pa.Table, name: str, marker: dict[str, Any], scale: float) -> go.Scattergl:
    """Points of the movies; plotly renders HTML in texts, so titles and names are escaped."""
    x, y = (np.rint(movies[axis].to_numpy() * scale).astype(np.int16) for axis in ("x", "y"))
    return go.Scattergl(
        x=x,
        y=y,
        text=[escape(title) for title in movies["title"].to_pylist()],
        name=escape(name),
        mode="markers",
        marker=marker,
        hovertemplate=f"%{{text}}<extra>{escape(name)}</extra>",
    )
