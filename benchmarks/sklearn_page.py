"""What a good engineer would write instead, a page of scikit-learn, and our flow on the same file.

    python -m benchmarks.sklearn_page path/to/movies_45k.csv

The page: TF-IDF of title and overview, a logistic regression for each genre, one threshold chosen
on validation movies, neighbours by cosine. Nothing is orchestrated, checked or tracked, no row is
quarantined, genre words stay in the texts, and the lists are not evaluated.
"""

import ast
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import MultiLabelBinarizer

from benchmarks import quality
from benchmarks.blog_baseline import seconds, timed
from benchmarks.page import save_results
from benchmarks.processes import run

RESULTS = Path(__file__).with_name("sklearn_page.json")
MIN_MOVIES = 20  # of a genre
QUERIES = 1000
KEYWORD_NDCG = ("rec_baseline_tfidf_keyword_ndcg_at_10", "rec_keyword_ndcg_at_10")


def read(path: Path) -> tuple[pd.Series, np.ndarray[Any, Any]]:
    """Texts and the indicator matrix of the genres that are frequent enough."""
    frame = pd.read_csv(path, low_memory=False).dropna(subset=["overview", "genres", "title"])
    genres = [[genre["name"] for genre in ast.literal_eval(cell)] for cell in frame["genres"]]
    labels = MultiLabelBinarizer().fit_transform(genres)
    labels = labels[:, labels.sum(axis=0) >= MIN_MOVIES]
    labelled = labels.any(axis=1)
    return (frame["title"] + " " + frame["overview"])[labelled], labels[labelled]


def f1_on_test(vectors: Any, labels: np.ndarray[Any, Any]) -> dict[str, float]:
    """Micro and macro F1 on a fifth, with the best of some thresholds on a tenth of the rest."""
    x, x_test, y, y_test = train_test_split(vectors, labels, test_size=0.2, random_state=42)
    x, x_val, y, y_val = train_test_split(x, y, test_size=0.1, random_state=42)
    x.sum_duplicates()  # other processes map it read-only
    model = OneVsRestClassifier(LogisticRegression(C=4, solver="liblinear"), n_jobs=-1).fit(x, y)
    validation, test = model.predict_proba(x_val), model.predict_proba(x_test)
    thresholds = np.linspace(0.1, 0.6, 26)
    f1 = [f1_score(y_val, validation > value, average="micro") for value in thresholds]
    predicted = test > thresholds[np.argmax(f1)]
    return {
        f"f1_{average}": float(f1_score(y_test, predicted, average=average))
        for average in ("micro", "macro")
    }


def run_page(path: Path) -> dict[str, Any]:
    """The whole page; seconds a stage, movies, and F1 on a random fifth of them."""
    with timed("read, TF-IDF"):
        texts, labels = read(path)
        tfidf = TfidfVectorizer(
            sublinear_tf=True, ngram_range=(1, 2), min_df=2, stop_words="english"
        )
        vectors = tfidf.fit_transform(texts)
    with timed("logistic regressions"):
        scores = f1_on_test(vectors, labels)
    with timed("neighbours"):
        neighbours = NearestNeighbors(n_neighbors=11, metric="cosine").fit(vectors)
        neighbours.kneighbors(vectors[:QUERIES])
    return {"seconds": seconds, "documents": len(texts), **scores}


def lists_row(file: str) -> str:
    """Keyword nDCG of lists by TF-IDF and of ours on a file, from the section on quality."""
    measured = json.loads(quality.RESULTS.read_text())[file]
    page, ours = (np.mean([run[name] for run in measured]) for name in KEYWORD_NDCG)
    return f"| keyword nDCG@10 of lists, with keywords of people | {page:.3f} | {ours:.3f} | |"


def section(result: dict[str, Any]) -> str:
    """The figures as a section of `benchmarks/README.md`."""
    page, ours = result["page"], result["ours"]
    scores = ours["scores"]
    lines = [
        "## A page of scikit-learn and our flow: `python -m benchmarks.sklearn_page FILE`",
        "",
        f"`{result['file']}`. The page (`benchmarks/sklearn_page.py`) is what one would write",
        "instead: TF-IDF, a logistic regression for each genre, neighbours by cosine. Its score is",
        "of a random fifth of the movies, with genre words in the texts; its lists are scored as",
        "those of the baseline `tfidf` under Quality. Ours is the whole `train` flow.",
        "",
        "| | page | ours | ratio |",
        "|---|---|---|---|",
    ]
    for title, key in (
        ("seconds of the whole process", "process_seconds"),
        ("peak memory of the largest process, MB", "peak_mb"),
        ("peak memory of all processes together, MB", "together_mb"),
    ):
        ratio = ours[key] / page[key]
        lines.append(f"| {title} | {page[key]:.0f} | {ours[key]:.0f} | {ratio:.1f} |")
    for average in ("micro", "macro"):
        cells = f"{page[f'f1_{average}']:.3f} | {scores[f'test_f1_{average}']:.3f}"
        lines.append(f"| F1 {average} | {cells} | |")
    lines.append(lists_row(result["file"]))
    stages = ", ".join(f"{name} {spent:.0f} s" for name, spent in page["seconds"].items())
    return "\n".join([*lines, "", f"The page's time: {stages}."]) + "\n"


def main(path: Path) -> None:
    """Measure both, one after the other, and save the results."""
    commands = {
        "page": ("benchmarks.sklearn_page", "--page", str(path)),
        "ours": ("benchmarks.compare", "--ours", str(path)),
    }
    results: dict[str, Any] = {"file": path.name}
    for name, command in commands.items():
        with tempfile.TemporaryDirectory() as root:
            results[name] = run(*command, root=root)
        del results[name]["usage"]
    save_results(RESULTS, results)


if __name__ == "__main__":
    if sys.argv[1] == "--page":
        print(json.dumps(run_page(Path(sys.argv[2]))))
    else:
        main(Path(sys.argv[1]))
