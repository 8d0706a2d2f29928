"""The figures of README and `benchmarks/README.md` are those of the JSON files beside them."""

import shutil

from benchmarks import page
from tests.conftest import ROOT

PAGES = ("README.md", "benchmarks/README.md")


def test_every_figure_is_the_one_that_its_benchmark_wrote(tmp_path, monkeypatch):
    (tmp_path / "benchmarks").mkdir()
    shutil.copy(ROOT / "README.md", tmp_path)
    monkeypatch.setattr(page, "HERE", tmp_path / "benchmarks")
    monkeypatch.setattr(page, "README", tmp_path / "README.md")
    page.write_page()
    for name in PAGES:
        assert (tmp_path / name).read_text() == (ROOT / name).read_text(), (
            f"{name}: run python -m benchmarks.page"
        )
