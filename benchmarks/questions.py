"""How long a question takes: from the terminal, in process, of the JSON API, of a served model.

    python -m benchmarks.questions path/to/movies_45k.csv

Trains on the file, asks the command line for one title in a new process, then asks in this one for
random titles with filters on, then sends requests to `movie-recommender demo` and to
`mlflow models serve`, eight at a time.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.page import save_results
from benchmarks.recommenders import trained
from tasks.core.contracts import UserError
from tasks.core.text import fold
from tasks.recommend.query import RecommendationRequest, query_from_movies, recommend
from tasks.recommend.search import get_version
from tasks.registry.champion import load_champion
from tasks.registry.model_registry import MODEL, tracking_uri

RESULTS = Path(__file__).with_name("questions.json")
QUESTIONS = 1000
AT_A_TIME = 8
STARTUP_SECONDS = 120
SEVERAL = "Movies called"  # begins the answer to a title of several movies
#: What is asked how, in the order of the table.
ASKED = {
    "cold": "`movie-recommender recommend`, a new process for each question",
    "warm": "in process, filtered by years and a genre",
    "api": "JSON API of `movie-recommender demo`",
    "api_at_once": f"the same, {AT_A_TIME} at a time",
    "served": f"`mlflow models serve`, {AT_A_TIME} at a time",
}


def percentiles(milliseconds: list[float]) -> dict[str, float]:
    """Median, 99th percentile and number."""
    middle, high = np.quantile(milliseconds, [0.5, 0.99])
    return {"p50": float(middle), "p99": float(high), "count": len(milliseconds)}


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of a call."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def cold(title: str) -> list[float]:
    """Milliseconds of the command line, five times."""
    command = [sys.executable, "-m", "flows.recommend", title, "--json"]
    return [
        timed(lambda: subprocess.run(command, check=True, capture_output=True)) for _ in range(5)
    ]


def warm(titles: list[str]) -> list[float]:
    """Milliseconds of each question in process, years and a genre filtered."""
    champion = load_champion()
    version, spent = get_version(champion.index), list[float]()

    def ask(title: str) -> None:
        request = RecommendationRequest(titles=[title], from_year=1930, not_genre=["Documentary"])
        recommend(query_from_movies(request, version), request, version, champion.rank)

    for title in titles:
        start = time.perf_counter()
        try:
            ask(title)
        except UserError:  # several movies have the title: another question
            continue
        spent.append((time.perf_counter() - start) * 1000)
    return spent


@contextmanager
def server(command: list[str], ready: str) -> Iterator[str]:
    """Start a program, which gets a free port at its end, and wait for a page: its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    programs = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    environment["MLFLOW_TRACKING_URI"] = tracking_uri()
    program = subprocess.Popen([*command, port], env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}{ready}")
        yield f"http://127.0.0.1:{port}"
    finally:
        program.terminate()
        program.wait()


def ask_all(
    ask: Callable[[httpx.Client, str], bool], titles: list[str], at_a_time: int
) -> dict[str, Any]:
    """Milliseconds of each of many requests, some at a time, and how many failed."""

    def one(title: str) -> tuple[float, bool]:
        start = time.perf_counter()
        succeeded = ask(client, title)
        return (time.perf_counter() - start) * 1000, succeeded

    with httpx.Client(timeout=60) as client, ThreadPoolExecutor(at_a_time) as pool:
        answers = list(pool.map(one, titles))
    spent = percentiles([milliseconds for milliseconds, _ in answers])
    return spent | {"errors": sum(not succeeded for _, succeeded in answers)}


def api(titles: list[str]) -> dict[str, dict[str, Any]]:
    """The JSON API of the demo page, one question at a time and several."""
    command = [sys.executable, "-m", "app.main", "--port"]
    with server(command, "/health") as address:

        def ask(client: httpx.Client, title: str) -> bool:
            return ask_api(client, address, title)

        return {
            "api": ask_all(ask, titles, 1),
            "api_at_once": ask_all(ask, titles, AT_A_TIME),
        }


def served(titles: list[str]) -> dict[str, Any]:
    """The registered model, as MLflow serves it."""
    command = ["mlflow", "models", "serve", "-m", f"models:/{MODEL}@champion"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port"]
    with server(command, "/ping") as address:
        return ask_all(lambda client, title: ask_model(client, address, title), titles, AT_A_TIME)


def wait_for(address: str) -> None:
    """Raises TimeoutError if nothing answers there in time."""
    deadline = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(address).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.5)
    raise TimeoutError(address)


def ask_api(client: httpx.Client, address: str, title: str) -> bool:
    """Whether a title brought a list, or the movies that it can mean."""
    answer = client.get(f"{address}/api/recommend", params={"title": title})
    return answer.is_success or SEVERAL in answer.json()["detail"]


def ask_model(client: httpx.Client, address: str, title: str) -> bool:
    """Whether a title brought a list, or the movies that it can mean."""
    body = {"dataframe_records": [{"title": title}]}
    answer = client.post(f"{address}/invocations", json=body)
    if not answer.is_success:
        return False
    (prediction,) = answer.json()["predictions"]
    return bool(prediction["movies"]) or SEVERAL in prediction["error"]


def section(result: dict[str, Any]) -> str:
    """The figures as a section of `benchmarks/README.md`."""
    lines = [
        "## Questions: `python -m benchmarks.questions FILE`",
        "",
        f"`{result['file']}`, {result['movies']} movies, titles drawn at random.",
        "",
        "| asked | questions | failed | p50, ms | p99, ms |",
        "|---|---|---|---|---|",
    ]
    for name, how in ASKED.items():
        row = result[name]
        failed = row.get("errors", 0)
        numbers = f"{row['count']} | {failed} | {row['p50']:.0f} | {row['p99']:.0f}"
        lines.append(f"| {how} | {numbers} |")
    return "\n".join(lines) + "\n"


def main(path: Path) -> None:
    """Measure, save the results."""
    with tempfile.TemporaryDirectory() as root:
        catalogue = trained(path, root).catalogue
        titles = catalogue.movies["title"].to_pylist()
        drawn = np.random.default_rng(0).choice(len(titles), QUESTIONS)
        queries = [titles[row] for row in drawn]
        keys = Counter(map(fold, titles))
        once = next(title for title in queries if keys[fold(title)] == 1)
        result = {"file": path.name, "movies": len(catalogue)}
        result |= {
            "cold": percentiles(cold(once)),
            "warm": percentiles(warm(queries)),
            **api(queries),
            "served": served(queries),
        }
    save_results(RESULTS, result)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
