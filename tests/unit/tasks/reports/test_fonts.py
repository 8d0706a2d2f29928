import dataclasses
import logging
import warnings
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from tasks.reports import fonts
from tasks.reports.plots import save_figures
from tests.support.logs import messages

#: Fonts that Matplotlib brings: its usual one, one with other letters, and one of boxes alone.
BUNDLED = ("DejaVu Sans", "STIXGeneral", "Last Resort High-Efficiency")
ONLY_IN_STIX, IN_NO_FONT = "ᶁ", "𒀀"


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    bundled = [font for font in fontManager.ttflist if font.name in BUNDLED]
    monkeypatch.setattr(fontManager, "ttflist", bundled)
    fonts.fallback_families.cache_clear()
    yield
    fonts.fallback_families.cache_clear()


def save(label: str, folder: Path) -> list[str]:
    """The fonts of a genre's name in a saved figure."""
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.barh([label], [1])
    save_figures({"genres": figure}, folder)
    assert (folder / "genres.png").stat().st_size > 0
    (drawn,) = axes.get_yticklabels()
    return drawn.get_fontfamily()


def test_letters_of_the_usual_font_need_no_other(tmp_path):
    assert save("Comédie ко́микс", tmp_path) == ["sans-serif"]


def test_letters_that_it_lacks_are_taken_from_an_installed_font(tmp_path, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert save(f"A{ONLY_IN_STIX}", tmp_path) == ["sans-serif", "STIXGeneral"]
    assert messages(caplog) == []


def test_letters_of_no_font_are_named_once_with_advice(tmp_path, caplog):
    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("error")
        families = [save(f"{IN_NO_FONT}{ONLY_IN_STIX}", tmp_path) for _ in range(2)]
    assert families == [["sans-serif", "STIXGeneral"]] * 2
    (message,) = messages(caplog)
    assert f"boxes for 1 letters, such as {IN_NO_FONT}: no installed font" in message
    assert "Debian's fonts-noto-cjk" in message
    assert message.endswith("and train with --refresh.")


def test_a_font_that_was_uninstalled_since_is_not_asked(tmp_path, monkeypatch):
    (one, *_) = [font for font in fontManager.ttflist if font.name == "STIXGeneral"]
    gone = dataclasses.replace(one, fname=str(tmp_path / "gone.ttf"))
    monkeypatch.setattr(fontManager, "ttflist", [gone, *fontManager.ttflist])
    assert save(ONLY_IN_STIX, tmp_path) == ["sans-serif", "STIXGeneral"]
