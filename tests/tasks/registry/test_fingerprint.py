from tasks.core.contracts import IndexRef
from tasks.recommend.scoring import RankConfig
from tasks.registry.champion import Champion
from tasks.registry.fingerprint import code_digest, fingerprint, is_up_to_date


def test_every_part_counts():
    marks = {
        fingerprint({"epochs": 1}, "source", None, "code"),
        fingerprint({"epochs": 2}, "source", None, "code"),
        fingerprint({"epochs": 1}, "other", None, "code"),
        fingerprint({"epochs": 1}, "source", None, "changed"),
    }
    assert len(marks) == 4
    assert fingerprint({"epochs": 1}, "source", None, "code") in marks


def test_code_counts_by_name_and_content(tmp_path):
    (tmp_path / "a.py").write_text("one")
    before = code_digest([tmp_path])
    (tmp_path / "notes.txt").write_text("no code")
    assert code_digest([tmp_path]) == before
    (tmp_path / "a.py").write_text("two")
    assert code_digest([tmp_path]) != before


def test_a_champion_that_knows_it_all():
    index = IndexRef(uri="u", tag="run-1")
    old = Champion(index=index, rank=RankConfig(), run_id="1", fingerprint="x")
    assert is_up_to_date("x", old)
    assert not is_up_to_date("y", old)
    assert not is_up_to_date("x", None)
