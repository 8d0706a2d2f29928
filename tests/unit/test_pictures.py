"""Every picture of the documents is known to `tests/support/pictures.py`, and is as it says."""

import re
import struct
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.pictures import FIGURES, FOLDER, PICTURES

DOCUMENTS = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")]


def size_of(image: Path) -> tuple[int, int]:
    """Width and height of a PNG file, from its header."""
    width, height = struct.unpack(">II", image.read_bytes()[16:24])
    return width, height


def test_every_picture_that_the_documents_show_is_a_page_s_or_a_program_s():
    shown = {
        Path(address).name
        for document in DOCUMENTS
        for address in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", document.read_text(encoding="utf-8"))
    }
    stored = {path.name for path in FOLDER.iterdir()}
    assert shown == stored == set(PICTURES) | set(FIGURES)


@pytest.mark.parametrize("name", [name for name, one in PICTURES.items() if not one.part])
def test_a_picture_has_the_size_of_its_page(name):
    size = PICTURES[name].size
    assert size_of(FOLDER / name) == (size["width"], size["height"])


@pytest.mark.parametrize("name", FIGURES)
def test_the_program_of_a_figure_writes_it(name):
    assert name in (ROOT / FIGURES[name]).read_text(encoding="utf-8")
