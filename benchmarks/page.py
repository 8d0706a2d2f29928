"""Write `benchmarks/README.md` from the figures that the benchmarks have left in JSON files."""

import json
from pathlib import Path

HERE = Path(__file__).parent
HEADER = """# Measured

Every figure here is written by the command in its heading; times are of the machine that ran it
and only their ratios mean something elsewhere.
"""


def write_page() -> None:
    """Every benchmark's section, of what has been measured so far."""
    from benchmarks import compare, embedding_sweep, preprocess, presets

    page = [HEADER]
    for benchmark in (presets, compare, embedding_sweep, preprocess):
        if benchmark.RESULTS.exists():
            page.append(benchmark.section(json.loads(benchmark.RESULTS.read_text())))
    (HERE / "README.md").write_text("\n".join(page))


if __name__ == "__main__":
    write_page()
