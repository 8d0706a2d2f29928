"""How long a question takes: from the terminal, in process, and of a served model.

    python -m benchmarks.questions path/to/movies_45k.csv

Trains on the file, asks the command line for one title in a new process, then asks in this one for
random titles with filters on, then sends requests to `mlflow models serve`, eight at a time.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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


def served(titles: list[str]) -> dict[str, Any]:
    """Milliseconds of each request to the served model, and how many failed."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    programs = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    environment["MLFLOW_TRACKING_URI"] = tracking_uri()
    command = [f"{programs}/mlflow", "models", "serve", "-m", f"models:/{MODEL}@champion"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/ping")
        with httpx.Client(timeout=60) as client, ThreadPoolExecutor(AT_A_TIME) as pool:
            answers = list(pool.map(lambda title: request(client, address, title), titles))
    finally:
        server.terminate()
        server.wait()
    spent = percentiles([milliseconds for milliseconds, _ in answers])
    return spent | {"errors": sum(not succeeded for _, succeeded in answers)}


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


def request(client: httpx.Client, address: str, title: str) -> tuple[float, bool]:
    """Milliseconds of one request, and whether it brought a list or named the movies meant."""
    body = {"dataframe_records": [{"title": title}]}
    start = time.perf_counter()
    answer = client.post(f"{address}/invocations", json=body)
    spent = (time.perf_counter() - start) * 1000
    if not answer.is_success:
        return spent, False
    (prediction,) = answer.json()["predictions"]
    return spent, bool(prediction["movies"]) or prediction["error"].startswith("Movies called")


def section(result: dict[str, Any]) -> str:
    """The figures as a section of `benchmarks/README.md`."""
    lines = [
        "## Questions: `python -m benchmarks.questions FILE`",
        "",
        f"`{result['file']}`, {result['movies']} movies. Titles drawn at random; in process with a",
        "filter on years and one on genres; served by `mlflow models serve`, "
        f"{AT_A_TIME} requests at a time,",
        f"{result['served']['errors']} of which failed.",
        "",
        "| asked | questions | p50, ms | p99, ms |",
        "|---|---|---|---|",
    ]
    for name in ("cold", "warm", "served"):
        row = result[name]
        lines.append(f"| {name} | {row['count']} | {row['p50']:.0f} | {row['p99']:.0f} |")
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
        }
        result["served"] = served(queries)
    save_results(RESULTS, result)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
