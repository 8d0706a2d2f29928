"""Write `benchmarks/README.md`, and the README's own table, from what benchmarks left as JSON."""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
START, END = "<!-- numbers: python -m benchmarks.page -->\n", "<!-- numbers end -->"
HEADER = """# Measured

Every figure here is written by the command in its heading; times are of the machine that ran it
and only their ratios mean something elsewhere.
"""


def numbers(presets: list[dict[str, Any]]) -> str:
    """The README's table: scores of every preset beside the baseline's, of the real files."""
    lines = [
        "| file | preset | protocol | F1 micro | F1 macro | TF-IDF F1 micro | TF-IDF F1 macro |",
        "|---|---|---|---|---|---|---|",
    ]
    names = ("f1_micro", "f1_macro", "baseline_tfidf_f1_micro", "baseline_tfidf_f1_macro")
    for result in presets:
        scores = " | ".join(f"{result[name]:.3f}" for name in names)
        labels = f"{result['file']} | {result['preset']} | {result['protocol']}"
        lines.append(f"| {labels} | {scores} |")
    return "\n".join(lines) + "\n"


def write_page() -> None:
    """Every benchmark's section, of what has been measured so far."""
    from benchmarks import (
        ann,
        cheapest,
        compare,
        embedding_sweep,
        preprocess,
        presets,
        questions,
        ranking,
        scale,
    )

    page = [HEADER]
    parts = (presets, compare, ranking, questions, ann, embedding_sweep, cheapest)
    for benchmark in (*parts, preprocess, scale):
        if benchmark.RESULTS.exists():
            page.append(benchmark.section(json.loads(benchmark.RESULTS.read_text())))
    (HERE / "README.md").write_text("\n".join(page))
    before, rest = README.read_text(encoding="utf-8").split(START)
    table = numbers(json.loads(presets.RESULTS.read_text()))
    README.write_text(before + START + table + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    write_page()
