from tasks.core.contracts import IndexRef
from tasks.recommend.scoring import RankConfig
from tasks.registry.champion import Champion
from tasks.registry.fingerprint import code_digest, fingerprint, is_up_to_date


def test_every_input_changes_the_fingerprint():
    fingerprints = {
        fingerprint({"epochs": 1}, "source", None, "code"),
        fingerprint({"epochs": 2}, "source", None, "code"),
        fingerprint({"epochs": 1}, "other", None, "code"),
        fingerprint({"epochs": 1}, "source", None, "changed"),
    }
    assert len(fingerprints) == 4
    assert fingerprint({"epochs": 1}, "source", None, "code") in fingerprints


def test_only_python_files_change_the_code_digest(tmp_path):
    (tmp_path / "a.py").write_text("one")
    before = code_digest([tmp_path])
    (tmp_path / "notes.txt").write_text("no code")
    assert code_digest([tmp_path]) == before
    (tmp_path / "a.py").write_text("two")
    assert code_digest([tmp_path]) != before


def test_an_equal_fingerprint_means_up_to_date():
    index = IndexRef(uri="u", tag="run-1")
    champion = Champion(index=index, rank=RankConfig(), run_id="1", fingerprint="x")
    assert is_up_to_date("x", champion)
    assert not is_up_to_date("y", champion)
    assert not is_up_to_date("x", None)
