"""Rows of the index -> a map: every movie at a point, near those that its list would hold."""

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from tasks.reports.run_plots import MAP_COLOURS

Positions = NDArray[np.float32]
ANCHORS = 2500  # movies that t-SNE places; the others go between their nearest anchors
COMPONENTS = 50
NEIGHBOURS = 5
MOST = 50_000  # movies drawn: of more, an even sample
GENRE_WEIGHT = 0.8
GRID = 30_000  # steps from the middle of the interactive map to its edge: two bytes a place
NO_GENRE = "no genre"


def compared_vectors(rows: pa.Table) -> NDArray[np.float32]:
    """What the map is drawn from, (n, size): content ⊕ weight × genres, as DESIGN's index vector.

    Genres are part of it, so that their colours gather is no finding.
    """
    parts = [
        rows[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        for name in ("content", "genre_vector")
    ]
    content, genre = (part.reshape(rows.num_rows, -1) for part in parts)
    return np.hstack([content, GENRE_WEIGHT * genre])


def map_positions(vectors: NDArray[np.float32], seed: int = 0) -> Positions:
    """Positions (n, 2) of vectors (n, size): PCA, t-SNE of some (van der Maaten & Hinton, 2008),
    the others at the mean of their nearest ones', nearer ones counting more."""
    rank = min(COMPONENTS, *vectors.shape)
    if rank < 3 or len(vectors) < 3 * NEIGHBOURS:
        flat = np.zeros((len(vectors), 2), np.float32)
        flat[:, : min(2, vectors.shape[1])] = vectors[:, :2]
        return flat
    reduced = PCA(rank, svd_solver="randomized", random_state=seed).fit_transform(vectors)
    anchors = np.random.default_rng(seed).permutation(len(reduced))[:ANCHORS]
    perplexity = min(30.0, (len(anchors) - 1) / 3)
    tsne = TSNE(init="pca", perplexity=perplexity, max_iter=500, random_state=seed, n_jobs=1)
    laid = tsne.fit_transform(reduced[anchors])
    near = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(reduced[anchors])
    distances, of = near.kneighbors(reduced)
    weights = 1 / (distances + 1e-6) ** 2
    mean = (laid[of] * (weights / weights.sum(axis=1, keepdims=True))[..., None]).sum(axis=1)
    return np.asarray(mean, np.float32)


def sample_movies(parts: Iterable[pa.Table], rows: int, most: int = MOST) -> pa.Table:
    """The movies of tables that come some at a time, `rows` in all; of more than `most`, every
    second, third, ..."""
    step, first, taken = max(1, -(-rows // most)), 0, list[pa.Table]()
    for part in parts:
        taken.append(part.take(pa.array(range(-first % step, part.num_rows, step), pa.int64())))
        first += part.num_rows
    return pa.concat_tables(taken)


def build_map(sample: pa.Table) -> pa.Table:
    """Columns x, y, title, genre (the first) of movies, rows of the index."""
    positions = map_positions(compared_vectors(sample))
    years, titles = sample["year"].to_pylist(), sample["title"].to_pylist()
    named = [f"{t} ({y})" if y else t for t, y in zip(titles, years, strict=True)]
    genres = [names[0] if names else NO_GENRE for names in sample["genres"].to_pylist()]
    return pa.table({"x": positions[:, 0], "y": positions[:, 1], "title": named, "genre": genres})


def frequent_genres(genres: Sequence[str]) -> list[str]:
    """The genres that get a colour, most frequent first."""
    counts = Counter(name for name in genres if name != NO_GENRE)
    return [name for name, _ in counts.most_common(len(MAP_COLOURS))]


def interactive_map(table: pa.Table) -> go.Figure:
    """The map of `map_of`'s table to move and zoom in, with titles; a trace a genre shown."""
    genres = np.array(table["genre"].to_pylist(), dtype=object)
    shown = frequent_genres(genres.tolist())
    traces = [("other", "#bbbbbb", ~np.isin(genres, shown))]
    traces += [(name, c, genres == name) for name, c in zip(shown, MAP_COLOURS, strict=False)]
    farthest = max(np.abs(table[axis].to_numpy()).max(initial=0) for axis in ("x", "y"))
    scale, figure = GRID / (farthest or 1), go.Figure()
    for name, colour, of in traces:
        own = table.filter(pa.array(of))
        titles = [escape(title) for title in own["title"].to_pylist()]  # plotly reads tags in it
        x, y = (np.rint(own[axis].to_numpy() * scale).astype(np.int16) for axis in ("x", "y"))
        marker = {"color": colour, "size": 5, "opacity": 0.7}
        dots = {"mode": "markers", "marker": marker, "hoverinfo": "text+name"}
        figure.add_trace(go.Scattergl(x=x, y=y, text=titles, name=escape(name), **dots))
    hidden = {"showgrid": False, "zeroline": False, "showticklabels": False}
    figure.update_layout(template="none", xaxis=hidden, yaxis=hidden, dragmode="pan")
    figure.update_layout(margin={"l": 0, "r": 0, "t": 0, "b": 0}, legend={"itemsizing": "constant"})
    return figure
