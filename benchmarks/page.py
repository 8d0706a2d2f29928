"""JSON results of the benchmarks -> `benchmarks/README.md` and the table of the README."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
PRESETS = HERE / "presets.json"
#: Modules with a file `RESULTS` and a function `section`, in the order of the page.
BENCHMARKS = (
    "quality",
    "folds",
    "presets",
    "compare",
    "sklearn_page",
    "at_once",
    "ranking",
    "closeness",
    "questions",
    "ann",
    "embedding_sweep",
    "preprocess",
    "scale",
    "gpu",
)
START, END = "<!-- numbers: python -m benchmarks.page -->\n", "<!-- numbers end -->"
HEADER = """# Measured

Every figure here is written by the command in its heading; times are of the machine that ran it
and only their ratios mean something elsewhere. `Quality`, both comparisons of our flow, `Questions`
and `Growth` are of today's classifier, `Five sets of test movies`, `Closeness in words` and `GPU`
of one whose mean was calibrated with one slope, `Two trainings` and `Settings` of one without terms
of titles, other sections of one without a linear model whose network read fixed vectors. The rows
of `GPU` are those of three runs on one kind of machine.
"""


def leaky_sentence(presets: list[dict[str, Any]]) -> str:
    """What the post's recipe, tuned, reports of the largest file that it was run on."""
    result = [row for row in presets if row["preset"] == "blog-tuned"][-1]
    return f"`blog-tuned`, which leaks, reports F1 {result['f1_micro']:.3f} on {result['file']}.\n"


def save_results(path: Path, results: Any) -> None:
    """Write the JSON file of a benchmark, and the page from all of them."""
    path.write_text(json.dumps(results, indent=2) + "\n")
    write_page()


def write_page() -> None:
    """Write the section of every benchmark that has results, and the README's table."""
    page = [HEADER]
    for name in BENCHMARKS:
        benchmark = import_module(f"benchmarks.{name}")  # which imports this module itself
        if benchmark.RESULTS.exists():
            page.append(benchmark.section(json.loads(benchmark.RESULTS.read_text())))
    (HERE / "README.md").write_text("\n".join(page))
    quality = import_module("benchmarks.quality")
    table = quality.readme_table(json.loads(quality.RESULTS.read_text()))
    write_table(README, f"{table}\n{leaky_sentence(json.loads(PRESETS.read_text()))}")


def write_table(readme: Path, table: str) -> None:
    """Replace the table between the markers of the README."""
    head, tail = readme.read_text(encoding="utf-8").split(START)
    readme.write_text(head + START + table + END + tail.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    write_page()
