from pathlib import Path

from tasks.core.contracts import IndexRef, KnownItemsRef, RatingsRef
from tasks.data.companions.reference_files import find_known_items, find_ratings
from tasks.recommend.scoring import RankConfig
from tasks.registry.champion import Champion
from tasks.registry.fingerprint import fingerprint, is_up_to_date
from tests.conftest import movie, write_csv


def test_every_input_changes_the_fingerprint():
    fingerprints = {
        fingerprint({"epochs": 1}, "source", (), "code"),
        fingerprint({"epochs": 2}, "source", (), "code"),
        fingerprint({"epochs": 1}, "other", (), "code"),
        fingerprint({"epochs": 1}, "source", (), "changed"),
    }
    assert len(fingerprints) == 4
    assert fingerprint({"epochs": 1}, "source", (), "code") in fingerprints


def test_each_judge_of_the_lists_changes_the_fingerprint():
    ratings = RatingsRef(source="m", files=(Path("r"), Path("l")), digest="1")
    known_items = KnownItemsRef(source="m", file=Path("k"), digest="1")
    fingerprints = {
        fingerprint({}, "s", references, "c")
        for references in (
            *((None, None), (ratings, None), (None, known_items), (ratings, known_items)),
            (ratings.model_copy(update={"digest": "2"}), known_items),
            (ratings, known_items.model_copy(update={"digest": "2"})),
        )
    }
    assert len(fingerprints) == 6


def champion_with(run_fingerprint: str) -> Champion:
    index = IndexRef(uri="u", tag="run-1")
    return Champion(index=index, rank=RankConfig(), run_id="1", fingerprint=run_fingerprint)


def test_files_that_judge_the_lists_are_part_of_the_fingerprint(tmp_path):
    """A champion is up to date until its questions or ratings change, appear or disappear."""
    source = write_csv(tmp_path / "m.csv", [movie(0, "Horror")])

    def run_fingerprint() -> str:
        references = (find_ratings([str(source)]), find_known_items([str(source)]))
        return fingerprint({}, "source", references, "code")

    fingerprints = [run_fingerprint()]
    (tmp_path / "known_items.csv").write_text("id,query\n1000,a ghost\n")
    fingerprints.append(run_fingerprint())
    champion = champion_with(fingerprints[-1])
    assert is_up_to_date(run_fingerprint(), champion)
    (tmp_path / "known_items.csv").write_text("id,query\n1000,a ghost ship\n")
    fingerprints.append(run_fingerprint())
    assert not is_up_to_date(run_fingerprint(), champion)
    for name in ("ratings_small.csv", "links_small.csv"):
        (tmp_path / name).write_text("userId\n1\n")
    fingerprints.append(run_fingerprint())
    assert len(set(fingerprints)) == 4


def test_ratings_are_not_mistaken_for_known_items():
    ratings = RatingsRef(source="m", files=(Path("r"), Path("l")), digest="d")
    known_items = KnownItemsRef(source="m", file=Path("k"), digest="d")
    assert fingerprint({}, "s", (ratings, None), "c") != fingerprint(
        {}, "s", (None, known_items), "c"
    )


def test_an_equal_fingerprint_means_up_to_date():
    champion = champion_with("x")
    assert is_up_to_date("x", champion)
    assert not is_up_to_date("y", champion)
    assert not is_up_to_date("x", None)
