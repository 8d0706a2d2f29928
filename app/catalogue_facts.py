"""What the page shows of the champion's catalogue: genres, languages, version."""

from typing import Any

import pyarrow.compute as pc

from app.loader import CurrentChampion


def genres(loaded: CurrentChampion) -> dict[str, list[str]]:
    """Every genre of the catalogue, sorted by name."""
    names = pc.unique(pc.list_flatten(loaded.version.catalogue.movies["genres"]))
    return {"genres": sorted(names.to_pylist())}


def languages(loaded: CurrentChampion) -> dict[str, list[str]]:
    """Every original language of the catalogue, the most frequent first."""
    counts = pc.value_counts(loaded.version.catalogue.movies["language"].drop_null()).to_pylist()
    counts.sort(key=lambda count: (-count["counts"], count["values"]))
    return {"languages": [count["values"] for count in counts]}


def version(loaded: CurrentChampion) -> dict[str, Any]:
    """The version of the registered model that answers, and when it was registered."""
    champion = loaded.champion
    return {
        "version": champion.version,
        "registered": champion.registered,
        "movies": len(loaded.version.catalogue),
    }
