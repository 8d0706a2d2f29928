"""The blog post's recipe as one plain script, written anew: what `benchmarks.compare` runs.

    python -m benchmarks.blog_baseline path/to/movies.csv

Nothing is orchestrated, cached, checked or tracked; the genres stand in the text, Doc2Vec learns
from the test documents too, and each of its ten rounds starts again at the full learning rate.
The last line printed is JSON: seconds a stage, peak memory in MB, and the leaky F1.

Two departures: the post calls `eval` on the genres, and `ast.literal_eval` reads the same without
the hole; nltk's `word_tokenize` is a Punkt sentence splitter and `NLTKWordTokenizer`, used here
without Punkt's trained parameters, which are a download.
"""

import ast
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pandas as pd
import torch
from gensim.models.doc2vec import Doc2Vec, TaggedDocument
from nltk.tokenize import NLTKWordTokenizer, PunktSentenceTokenizer
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MultiLabelBinarizer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

ROUNDS = 10
PASSES = 10
EPOCHS = 50
BATCH_SIZE = 64
THRESHOLD = 0.1  # on the logits, as in the post
seconds: dict[str, float] = {}


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Note how long a stage took."""
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start


def preprocess(path: Path) -> tuple[pd.DataFrame, list[list[str]]]:
    """The kept rows with their genres as lists, and their tokens, row by row."""
    sentences, words = PunktSentenceTokenizer(), NLTKWordTokenizer()
    frame = pd.read_csv(path, low_memory=False).dropna(subset=["overview", "genres", "title"])
    documents, genres = [], []
    for _, row in frame.iterrows():
        names = [genre["name"] for genre in ast.literal_eval(row["genres"])]
        text = f"Overview: {row['overview']} Genres: {', '.join(names)} Title: {row['title']}"
        parts = sentences.tokenize(text.lower())
        documents.append([token for part in parts for token in words.tokenize(part)])
        genres.append(names)
    column = pd.Series(genres, index=frame.index)
    return frame.assign(genres=column).reset_index(drop=True), documents


def train_doc2vec(documents: list[list[str]]) -> Doc2Vec:
    """PV-DM, 100 dimensions, ten rounds of ten passes over every document, test ones included."""
    tagged = [TaggedDocument(tokens, [str(tag)]) for tag, tokens in enumerate(documents)]
    model = Doc2Vec(vector_size=100, min_count=2, epochs=PASSES, workers=2, seed=42)
    model.build_vocab(tagged)
    for _ in range(ROUNDS):
        model.train(tagged, total_examples=model.corpus_count, epochs=model.epochs)
    return model


def network(n_inputs: int, n_genres: int) -> nn.Module:
    """512-256-128 with batch norm, ReLU and dropout."""
    layers: list[nn.Module] = []
    for width, units in ((n_inputs, 512), (512, 256), (256, 128)):
        layers += [nn.Linear(width, units), nn.BatchNorm1d(units), nn.ReLU(), nn.Dropout(0.3)]
    return nn.Sequential(*layers, nn.Linear(128, n_genres))


def train_network(
    model: nn.Module, vectors: torch.Tensor, labels: torch.Tensor, epochs: int, batch_size: int
) -> None:
    """Adam on BCE with logits over a DataLoader that hands out one sample at a time."""
    loader = DataLoader(TensorDataset(vectors, labels), batch_size=batch_size, shuffle=True)
    optimizer, loss_of = torch.optim.Adam(model.parameters(), lr=1e-3), nn.BCEWithLogitsLoss()
    model.train()
    for _ in range(epochs):
        for batch, expected in loader:
            optimizer.zero_grad()
            loss_of(model(batch), expected).backward()
            optimizer.step()


def blog_score(vectors: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> float:
    """Train on 80% and score the rest, whose vectors Doc2Vec has trained on."""
    torch.manual_seed(42)
    x_train, x_test, y_train, y_test = train_test_split(
        torch.tensor(vectors), torch.tensor(labels), test_size=0.2, random_state=42
    )
    model = network(vectors.shape[1], labels.shape[1])
    train_network(model, x_train, y_train, EPOCHS, BATCH_SIZE)
    model.eval()
    with torch.no_grad():
        predicted = model(x_test) > THRESHOLD
    return float(f1_score(y_test.numpy(), predicted.numpy(), average="micro"))


def main(path: Path, folder: Path) -> dict[str, Any]:
    """The whole recipe; seconds a stage, documents, peak memory and score."""
    start = time.perf_counter()
    with timed("preprocess"):
        frame, documents = preprocess(path)
    with timed("doc2vec"):
        model = train_doc2vec(documents)
        vectors = np.array([model.dv[str(tag)] for tag in range(len(documents))], np.float32)
    with timed("csv"):
        frame.assign(embedding=vectors.tolist()).to_csv(folder / "movies.csv", index=False)
    with timed("labels"):
        labels = MultiLabelBinarizer().fit_transform(frame["genres"]).astype(np.float32)
    with timed("classifier"):
        score = blog_score(vectors, labels)
    with timed("index"):
        rows = frame[["id", "title"]].assign(id=frame["id"].astype(str), vector=list(vectors))
        table = lancedb.connect(folder / "lancedb").create_table("movies", rows)
    with timed("query"):
        table.search(vectors[0]).limit(10).to_pandas()
    return {
        "seconds": seconds,
        "total": time.perf_counter() - start,
        "documents": len(documents),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "blog_f1_micro": score,
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(main(Path(sys.argv[1]), Path(scratch))))
