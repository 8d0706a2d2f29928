import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.contracts import Ref, UserError
from tasks.core.storage import store


@pytest.mark.parametrize(
    "url", ["s3://key:s3cr3t@bucket/team", "s3://bucket/team?secret_key=s3cr3t"]
)
def test_a_root_url_with_a_login_is_rejected(url, monkeypatch):
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", url)
    with pytest.raises(UserError, match="give only bucket and folder") as error:
        store.root_setting()
    assert "s3cr3t" not in str(error.value)


def test_the_digest_of_a_folder_depends_on_file_names(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("1")
    first = store.file_digest(folder)
    (folder / "a").rename(folder / "b")
    assert store.file_digest(folder) != first


def write_entry() -> Ref:
    def write_json(writer: store.EntryWriter) -> Ref:
        store.write_json(writer.folder / "file.json", 1)
        return writer.file_ref(Ref, "file.json")

    return store.get_or_create("stage", ["key"], Ref, write_json)


def test_a_damaged_generation_file_only_invalidates_the_cache(artifacts):
    store.invalidate_cache()
    before = write_entry()
    (artifacts / "cache" / "generation").write_bytes(b"\xff\xfe")
    assert write_entry().digest == before.digest


def test_after_invalidating_the_cache_entries_are_written_again():
    before = write_entry()
    store.invalidate_cache()
    after = write_entry()
    assert after.paths != before.paths
    assert write_entry() == after


@given(st.lists(st.binary()), st.lists(st.binary()))
def test_only_equal_parts_have_equal_hashes(first, second):
    assert (store.sha256(first) == store.sha256(second)) == (first == second)
