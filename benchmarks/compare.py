"""The post's recipe and our whole retraining flow on the same file, one after the other.

    python -m benchmarks.compare path/to/movies_45k.csv

Each runs in a process of its own with an empty artifacts root. Ours does more: quarantine,
validation split, baselines, bootstrap intervals, a checked index, tracking and a registered model,
under Prefect with a temporary server. Its seconds are of the whole process, imports and the
server's start included; the post's are of its stages alone. Then the two trainings are compared on
the same data: Doc2Vec's words and the network's samples a second.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from benchmarks import timeline
from benchmarks.page import save_results
from benchmarks.processes import run

RESULTS = Path(__file__).with_name("compare.json")
MOVIES = 40_000  # so many random ones for the network
#: Which tasks of ours do what a stage of the post's does.
STAGES = {
    "preprocess": ("ingest", "preprocess", "check_documents"),
    "labels": ("label",),
    "doc2vec": ("fit_doc2vec", "embed", "check_vectors"),
    "classifier": ("fit_network", "fit_linear", "fit_ensemble", "predict_genres"),
    "index": ("fit_text_features", "fit_transformer", "build_index_rows", "build_index"),
    "baselines": ("baselines",),
    "evaluation": ("evaluate", "evaluate_lists"),
    # `open_run` was a task when compare.json was measured
    "tracking": ("open_run", "track_source", "track_results", "register", "report"),
}


def train_here(path: Path) -> dict[str, Any]:
    """Train in this process; scores, and from when to when each task ran, in seconds."""
    from flows.cli.subcommands.train import prepare
    from flows.config import TrainConfig
    from flows.runtime import garbage
    from flows.runtime.server import prefect_server
    from tasks.registry.model_registry import FLOW_RUN_TAG

    garbage.collect_less()
    with prefect_server(meanwhile=prepare):  # as the command does
        from flows.train import train
        from tasks.registry.tracking.mlflow_client import connect

        summary = train(TrainConfig.model_validate({"source": str(path)}))
        assert not isinstance(summary, str), summary  # noqa: S101 - nothing is skipped here
        flow_run = connect().get_run(summary.run.run_id).data.tags[FLOW_RUN_TAG]
        spans = task_spans(flow_run)
    return {"spans": spans, "scores": summary.scores, "documents": summary.ingested.kept}


def task_spans(flow_run: str) -> dict[str, list[float]]:
    """Start of the first and end of the last run of each task of a flow run, in seconds."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.client.schemas.sorting import TaskRunSort

    spans: dict[str, list[float]] = {}
    flow_run_filter, offset = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run)])), 0
    with get_client(sync_client=True) as client:
        while page := client.read_task_runs(
            flow_run_filter=flow_run_filter,
            sort=TaskRunSort.END_TIME_DESC,
            limit=200,
            offset=offset,
        ):
            offset += len(page)
            for task in page:
                if task.start_time and task.end_time:
                    name = task.task_key.rsplit(".", 1)[-1].split("-")[0]
                    span = spans.setdefault(name, [float("inf"), 0.0])
                    span[0] = min(span[0], task.start_time.timestamp())
                    span[1] = max(span[1], task.end_time.timestamp())
    return spans


def compare(path: Path) -> dict[str, Any]:
    """Both, and both trainings' throughput."""
    with tempfile.TemporaryDirectory() as root:
        post = run("benchmarks.blog_baseline", str(path), root=root)
    print(json.dumps(post), flush=True)
    with tempfile.TemporaryDirectory() as root:
        ours = run("benchmarks.compare", "--ours", str(path), root=root)
    print(json.dumps(ours), flush=True)
    ours["total"] = ours["process_seconds"]
    timeline.draw(ours)
    del post["usage"], ours["usage"]  # the figure shows it
    return {"file": path.name, "post": post, "ours": ours}


def samples_per_second(seed: int = 0) -> dict[str, float]:
    """Training samples a second of the post's network on the same random data.

    The post's loop with its batch size and torch's dropout, and ours with its own of both.
    """
    import torch

    from benchmarks.blog_baseline import BATCH_SIZE, network, train_network
    from tasks.genres.config import ClassifierConfig
    from tasks.genres.network.modules import GenreNetwork, Standardiser
    from tasks.genres.network.training import (
        Examples,
        torch_threads,
        train_epoch,
        useful_threads,
    )

    torch.manual_seed(seed)
    data = Examples(torch.randn(MOVIES, 100), (torch.rand(MOVIES, 20) < 0.1).float())

    def post() -> None:
        train_network(network(100, 20), *data, epochs=1, batch_size=BATCH_SIZE)

    def ours() -> None:
        unscaled = Standardiser(torch.zeros(100), torch.ones(100))
        model = GenreNetwork(unscaled, 20, (512, 256, 128), 0.3)
        optimizer = torch.optim.Adam(model.parameters(), fused=True)
        batch_size = ClassifierConfig().batch_size
        with torch_threads(useful_threads(model, batch_size, torch.get_num_threads())):
            train_epoch(model, [optimizer], data, batch_size)

    return {name: MOVIES / s for name, s in best_of({"post": post, "ours": ours}, 8).items()}


def best_of(works: dict[str, Callable[[], None]], times: int) -> dict[str, float]:
    """Seconds of each one's fastest call: they take turns, after a round that does not count."""
    seconds_by_name: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(times + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            seconds_by_name[name].append(time.perf_counter() - start)
    return {name: min(seconds[1:]) for name, seconds in seconds_by_name.items()}


def words_per_second(path: Path, passes: int = 2) -> dict[str, dict[str, float]]:
    """Words a second of Doc2Vec with 100 dimensions on the post's tokens, the same passes.

    The post trains PV-DM from an iterable, we train PV-DBOW with our `sample` from a file of a
    document a line; and PV-DBOW both ways.
    """
    from gensim.models.doc2vec import Doc2Vec, TaggedDocument

    from benchmarks.blog_baseline import preprocess

    _, documents = preprocess(path)
    words = passes * sum(map(len, documents))
    tagged = [TaggedDocument(tokens, [tag]) for tag, tokens in enumerate(documents)]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(" ".join(tokens) + "\n" for tokens in documents)
        file.flush()
        same = {"vector_size": 100, "min_count": 2, "workers": 2, "seed": 42}
        dm, dbow = Doc2Vec(dm=1, **same), Doc2Vec(dm=0, sample=1e-4, **same)
        for model in (dm, dbow):
            model.build_vocab(corpus_file=file.name)
        counts = {"total_examples": len(documents), "total_words": dm.corpus_total_words}
        counts["epochs"] = passes
        works: dict[str, Callable[[], None]] = {
            "post": lambda: dm.train(corpus_iterable=tagged, **counts),
            "iterable": lambda: dbow.train(corpus_iterable=tagged, **counts),
            "file": lambda: dbow.train(corpus_file=file.name, **counts),
        }
        rates = {name: words / seconds for name, seconds in best_of(works, 3).items()}
    ours = {"ours": rates["file"]}
    return {
        "Doc2Vec, PV-DM from an iterable, PV-DBOW from a file; words/s": ours
        | {"post": rates["post"]},
        "Doc2Vec, PV-DBOW from an iterable, from a file; words/s": ours
        | {"post": rates["iterable"]},
    }


def stage_seconds(spans: dict[str, list[float]]) -> dict[str, float]:
    """Seconds of the tasks of each stage, each from the start of its first run to the last end."""
    seconds = {}
    for stage, tasks in STAGES.items():
        ran = [spans[task] for task in tasks if task in spans]
        seconds[stage] = sum(end - start for start, end in ran)
    return seconds


def section(result: dict[str, Any]) -> str:
    """The figures as a section of `benchmarks/README.md`."""
    post, ours = result["post"], result["ours"]
    stages = stage_seconds(ours["spans"])
    lines = [
        "## The post's script and our flow: `python -m benchmarks.compare FILE`",
        "",
        f"`{result['file']}`. The post's script does its recipe alone, and its score leaks.",
        "Ours is the whole `train` flow with the preset `default`: Prefect with a temporary",
        "server, MLflow, held-out evaluation and baselines. The linear model is fitted beside",
        "Doc2Vec, so the stages do not add up to the total.",
        "",
        "| stage | post, s | ours, s |",
        "|---|---|---|",
    ]
    for stage in dict.fromkeys([*post["seconds"], *stages]):
        cells = (
            f"{seconds[stage]:.1f}" if stage in seconds else "–"
            for seconds in (post["seconds"], stages)
        )
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    scores = f"blog_f1_micro {post['blog_f1_micro']:.3f} | test_f1_micro "
    lines += [
        f"| **total** | **{post['total']:.0f}** | **{ours['total']:.0f}** |",
        f"| peak memory of the largest process, MB | {post['peak_mb']:.0f} | "
        f"{ours['peak_mb']:.0f} |",
        "| peak memory of all processes together, the Prefect server too, MB | "
        f"{post['together_mb']:.0f} | {ours['together_mb']:.0f} |",
        f"| score | {scores}{ours['scores']['test_f1_micro']:.3f} |",
        "",
        f"Ours takes {ours['total'] / post['total']:.2f} of the time (the post's takes "
        f"{post['total'] / ours['total']:.1f} times as long) and "
        f"{ours['peak_mb'] / post['peak_mb']:.0%} of the memory in its largest process, "
        f"{ours['together_mb'] / post['together_mb']:.0%} in all together.",
        "",
        "| training on the same data | post | ours | ratio |",
        "|---|---|---|---|",
    ]
    for name, rates in result["throughput"].items():
        ratio = rates["ours"] / rates["post"]
        lines.append(f"| {name} | {rates['post']:.0f} | {rates['ours']:.0f} | {ratio:.1f} × |")
    return "\n".join(lines) + "\n"


def throughput(path: Path) -> dict[str, dict[str, float]]:
    """Both trainings, the post's way and ours, with 100 dimensions and the post's network."""
    network = {"network 512-256-128, samples/s": samples_per_second()}
    return network | words_per_second(path)


def main(path: Path) -> None:
    """Measure, save the results."""
    result = compare(path) | {"throughput": throughput(path)}
    save_results(RESULTS, result)


if __name__ == "__main__":
    if sys.argv[1] == "--ours":
        print(json.dumps(train_here(Path(sys.argv[2]))))
    else:
        main(Path(sys.argv[1]))
