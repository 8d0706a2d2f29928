"""Reads the HTML of a run's report."""

import re


def panel(html: str, name: str) -> str:
    """The HTML of the panel of a figure."""
    (markup,) = re.findall(rf'<figure class="card[^>]*data-panel="{name}">.*?</figure>', html, re.S)
    return str(markup)
