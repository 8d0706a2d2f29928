"""The post's recipe and our whole retraining flow on the same file, one after the other.

    python -m benchmarks.compare path/to/movies_45k.csv

Each runs in a process of its own with an empty artifacts root. Ours does more: quarantine,
validation split, baselines, bootstrap intervals, a checked index, tracking and a registered model,
under Prefect with a temporary server. Its seconds are of the whole process, imports and the
server's start included; the post's are of its stages alone. Then the two trainings are compared on
the same data: Doc2Vec's words and the network's samples a second.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("compare.json")
#: Which tasks of ours do what a stage of the post's does.
STAGES = {
    "preprocess": ("ingest", "preprocess", "check-documents"),
    "labels": ("label",),
    "doc2vec": ("fit-doc2vec", "embed", "check-vectors"),
    "classifier": ("fit-classifier", "predict-genres"),
    "index": ("index",),
    "baselines": ("baselines",),
    "evaluation": ("evaluate",),
    "tracking": ("open-run", "track-source", "track-results", "register", "report"),
}


def run(module: str, *arguments: str, root: str) -> tuple[dict[str, Any], float, float]:
    """The JSON that a module prints last, the process's seconds and its peak memory in MB."""
    start, log = time.perf_counter(), Path(root) / "output.txt"
    environment = os.environ | {"RECOMMENDER_ARTIFACTS": root, "PREFECT_LOGGING_LEVEL": "ERROR"}
    with log.open("w") as file:
        command = [sys.executable, "-m", module, *arguments]
        process = subprocess.Popen(command, env=environment, stdout=file)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{module} failed.")
    found: dict[str, Any] = json.loads(log.read_text().strip().splitlines()[-1])
    return found, time.perf_counter() - start, usage.ru_maxrss / 1024


def train_here(path: Path) -> dict[str, Any]:
    """Train in this process; scores, and from when to when each task ran, in seconds."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import TaskRunSort

    from flows.cli import prefect_server
    from flows.config import TrainConfig
    from flows.train import train

    spans: dict[str, list[float]] = {}
    with prefect_server(), get_client(sync_client=True) as client:
        summary = train(TrainConfig.model_validate({"source": str(path)}))
        offset = 0
        while page := client.read_task_runs(
            sort=TaskRunSort.END_TIME_DESC, limit=200, offset=offset
        ):
            offset += len(page)
            for task in page:
                if task.start_time and task.end_time:
                    name = task.task_key.rsplit(".", 1)[-1].split("-")[0]
                    span = spans.setdefault(name, [float("inf"), 0.0])
                    span[0] = min(span[0], task.start_time.timestamp())
                    span[1] = max(span[1], task.end_time.timestamp())
    return {"spans": spans, "scores": summary.scores, "documents": summary.ingested.kept}


def compare(path: Path) -> dict[str, Any]:
    """Both, and both trainings' throughput."""
    with tempfile.TemporaryDirectory() as root:
        post, _, post_mb = run("benchmarks.blog_baseline", str(path), root=root)
    print(json.dumps(post), flush=True)
    with tempfile.TemporaryDirectory() as root:
        ours, seconds, ours_mb = run("benchmarks.compare", "--ours", str(path), root=root)
    print(json.dumps(ours), flush=True)
    return {
        "file": path.name,
        "post": post | {"peak_mb": post_mb},
        "ours": ours | {"total": seconds, "peak_mb": ours_mb},
    }
