"""Preprocessing against the post's loop, the price of orchestration, runners, and growth.

    python -m benchmarks.preprocess path/to/movies_45k.csv

Every comparison is made in one session on one machine, in processes of their own; the figures
are kept in `benchmarks/preprocess.json` and `benchmarks/README.md` is written anew from them.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.page import save_results

RESULTS = Path(__file__).with_name("preprocess.json")
TIMES_TEN = 10


def post_loop(path: Path) -> int:
    """The post's preprocessing: row by row, one list literal and one tokenise each."""
    from benchmarks.blog_baseline import preprocess

    return len(preprocess(path)[1])


def stages(path: Path) -> int:
    """Our stages as pure functions in a loop: read, check, quarantine, tokenise; nothing else."""
    from tasks.data.ingest import read_chunks
    from tasks.data.preprocess import TextConfig, to_documents
    from tasks.data.sources import open_file
    from tasks.data.splits import splits_of
    from tasks.data.validation import IngestState

    source, config = open_file(path), TextConfig()
    catalogue = IngestState("movies")
    chunks = [chunk.movies for chunk in read_chunks(source, 1000, catalogue)]
    splits = iter(splits_of(pa.concat_tables(chunks), config))
    return sum(
        to_documents(chunk, list(islice(splits, chunk.num_rows)), config).num_rows
        for chunk in chunks
    )


def flow(path: Path, runner: str) -> int:
    """The same as Prefect tasks with the store: ingest, then a task a chunk."""
    from prefect import flow as as_flow

    from flows.phases.task_runner import TASK_THREADS, DataflowTaskRunner
    from tasks.core.compute import Compute
    from tasks.data.ingest import IngestConfig, ingest
    from tasks.data.preprocess import TextConfig, preprocess
    from tasks.data.splits import assign_splits

    threads = DataflowTaskRunner(max_workers=TASK_THREADS)

    @as_flow(name="preprocess", task_runner=threads)  # type: ignore[arg-type]
    def first_half() -> int:
        ingested = ingest([str(path)], IngestConfig())
        compute = Compute(runner, None, len(ingested.chunks))  # type: ignore[arg-type]
        config = TextConfig()
        splits = assign_splits(ingested.chunks, config)
        documents = preprocess.submit(ingested.chunks, splits.chunks, config, compute)
        return documents.result().rows

    return first_half()


WORK: dict[str, Callable[[Path], int]] = {
    "post": post_loop,
    "loop": stages,
    "thread": lambda path: flow(path, "thread"),
    "process": lambda path: flow(path, "process"),
    "dask": lambda path: flow(path, "dask"),
}


def measure(work: str, path: Path) -> dict[str, Any]:
    """Run one kind of work in a new process with an empty artifacts root; seconds and peak MB.

    Seconds are of the work alone, without imports and without the start of a server.
    """
    with tempfile.TemporaryDirectory() as root:
        environment = os.environ | {"RECOMMENDER_ARTIFACTS": root, "PREFECT_LOGGING_LEVEL": "ERROR"}
        command = [sys.executable, "-m", "benchmarks.preprocess", "--work", work, str(path)]
        log = Path(root) / "output.txt"
        with log.open("w") as file:
            process = subprocess.Popen(command, env=environment, stdout=file)
            _, status, usage = os.wait4(process.pid, 0)
        output = log.read_text()
        if status:
            raise SystemExit(f"{work} on {path} failed.")
    result: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    result |= {"work": work, "file": path.name, "peak_mb": usage.ru_maxrss / 1024}
    print(result, flush=True)
    return result


def work_here(work: str, path: Path) -> None:
    """Do the work in this process, after what it needs was imported and a server has started."""
    import tasks.data.ingest
    import tasks.data.preprocess  # noqa: F401

    if work not in ("post", "loop"):
        from prefect import flow as as_flow

        as_flow(name="warm-up")(lambda: None)()
    start = time.perf_counter()
    documents = WORK[work](path)
    print(json.dumps({"documents": documents, "seconds": time.perf_counter() - start}))


def repeated(path: Path, target: Path, times: int = TIMES_TEN) -> None:
    """Write the file so many times over with fresh ids and texts that differ."""
    with path.open(encoding="utf-8", newline="") as source, target.open("w", newline="") as out:
        rows = list(csv.DictReader(source))
        writer = csv.DictWriter(out, rows[0].keys())
        writer.writeheader()
        for copy in range(times):
            for row in rows:
                number = int(row["id"]) + copy * 100_000_000
                writer.writerow(row | {"id": number, "overview": f"{row['overview']} {copy}"})


def section(results: list[dict[str, Any]]) -> str:
    """The figures as a section of `benchmarks/README.md`."""
    largest = max(results, key=lambda result: result["documents"])["file"]
    by = {(result["file"], result["work"]): result for result in results}
    lines = [
        "## Preprocessing: `python -m benchmarks.preprocess FILE …`",
        "",
        "`post` is the post's loop (`iterrows`, a literal and `word_tokenize` a row), `loop` our",
        "pure functions in a loop, the others the same as Prefect tasks with the store, by runner.",
        "Seconds are of the work alone, memory of the flow's process. The file `ten_times_…` is",
        "the one before it ten times over, with fresh ids and texts.",
        "",
        "| file | work | documents | seconds | documents/s | against post | peak MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        rate = result["documents"] / result["seconds"]
        post = by.get((result["file"], "post"))
        ratio = f"{rate * post['seconds'] / post['documents']:.1f} ×" if post else ""
        lines.append(
            f"| {result['file']} | {result['work']} | {result['documents']} "
            f"| {result['seconds']:.1f} | {rate:.0f} | {ratio} | {result['peak_mb']:.0f} |"
        )
    grown = [result for result in results if result["file"] == largest]
    for result in grown:
        smaller = by.get((largest.removeprefix("ten_times_"), result["work"]))
        if smaller:
            ratio = result["seconds"] / smaller["seconds"]
            lines += ["", f"Ten times the rows take `{result['work']}` {ratio:.1f} times as long."]
    return "\n".join(lines) + "\n"


def main(paths: list[Path]) -> None:
    """Measure all work on every file, and the growth on the last."""
    results = []
    for path in paths:
        results += [measure(work, path) for work in WORK]
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / f"ten_times_{paths[-1].name}"
        repeated(paths[-1], large)
        results += [measure(work, large) for work in ("loop", "thread", "process")]
    save_results(RESULTS, results)


if __name__ == "__main__":
    if sys.argv[1] == "--work":
        work_here(sys.argv[2], Path(sys.argv[3]))
    else:
        main([Path(argument) for argument in sys.argv[1:]])
