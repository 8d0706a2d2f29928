from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tasks.core.contracts import Ref, UserError
from tasks.core.storage import artifacts_root, store
from tasks.data.preprocess import TextConfig


@pytest.mark.parametrize(
    "url", ["s3://key:s3cr3t@bucket/team", "s3://bucket/team?secret_key=s3cr3t"]
)
def test_a_root_url_with_a_login_is_rejected(url, monkeypatch):
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", url)
    with pytest.raises(UserError, match="give only bucket and folder") as error:
        store.root_setting()
    assert "s3cr3t" not in str(error.value)


def test_a_root_with_a_question_mark_is_refused(monkeypatch):
    """Its database would be a file beside it, which is never read again."""
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", "/data/who?/artifacts")
    with pytest.raises(UserError, match=r"root /data/who\?/artifacts has a '\?'.* choose another"):
        store.artifacts_root()


def test_a_root_keeps_its_id_where_it_is_moved_and_another_has_none(artifacts, monkeypatch):
    artifacts.mkdir()
    assert store.root_id() == ""
    store.create_root_id()
    first = store.root_id()
    store.create_root_id()
    assert store.root_id() == first != ""
    moved = artifacts.rename(artifacts.with_name("moved"))
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(moved))
    assert store.root_id() == first
    other = moved.with_name("other")
    other.mkdir()
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(other))
    store.create_root_id()
    assert store.root_id() not in ("", first)


def test_a_bucket_is_identified_by_its_url(monkeypatch):
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", "s3://bucket/team/")
    assert store.root_id() == "s3://bucket/team"


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


def test_keys_never_change():
    """Another digest of equal inputs would compute everything again, of every cache."""
    assert store.key_of([1, "a", None, ["b"]]) == "1958f51d8a1524caeee3e0894d83625b"
    assert store.key_of([{"a": 1, "b": 2}]) == store.key_of([{"b": 2, "a": 1}])
    config = TextConfig()
    assert store.key_of([config]) == store.key_of([config.model_dump(mode="json")])
    assert store.key_of([config]) != store.key_of([TextConfig(pairs=False)])


class Settings(BaseModel):
    """Settings that are JSON only after Pydantic has written them."""

    folder: Path = Path("a/b")


def test_settings_are_hashed_as_json():
    assert store.key_of([Settings()]) == store.key_of([{"folder": "a/b"}])


@pytest.mark.parametrize("url", ["s3://bucket/MAX", "s3://bucket/MAX/", "s3://bucket/MAX//"])
def test_slashes_at_the_end_of_a_url_do_not_count(url, monkeypatch):
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", url)
    assert store.uri_of("lancedb") == "s3://bucket/MAX/lancedb"


def test_the_digest_of_a_folder_depends_on_its_files_alone(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name / "deeper").mkdir(parents=True)
        (tmp_path / name / "deeper" / "a").write_text("1")
        (tmp_path / name / "times.json").write_text(name)
    first, second = (
        store.file_digest(tmp_path / name, exclude=["times.json"]) for name in ("first", "second")
    )
    assert first == second
    assert first != store.file_digest(tmp_path / "first")
    (tmp_path / "second" / "deeper" / "a").rename(tmp_path / "second" / "a")
    assert first != store.file_digest(tmp_path / "second", exclude=["times.json"])
    (tmp_path / "second" / "a").write_text("2")
    assert store.file_digest(tmp_path / "second" / "a") == store.file_digest(
        tmp_path / "second" / "a", exclude=["a"]
    )


def test_a_root_without_a_setting_is_the_folder_artifacts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECOMMENDER_ARTIFACTS")
    assert store.artifacts_root() == tmp_path / "artifacts"
    assert store.cache_root() == tmp_path / "artifacts" / "cache"
    assert store.uri_of("lancedb") == f"{tmp_path}/artifacts/lancedb"
    assert store.remote_store() is None
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", "")
    assert store.artifacts_root() == tmp_path / "artifacts"
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", "elsewhere")
    assert store.root_setting() == str(tmp_path / "elsewhere")


def test_a_url_has_a_local_folder_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", "s3://bucket/team/")
    assert store.root_setting() == "s3://bucket/team"
    assert store.uri_of("lancedb") == "s3://bucket/team/lancedb"
    assert store.artifacts_root() == tmp_path / "artifacts" / "s3-bucket-team"


def test_a_login_in_the_root_is_refused_with_what_to_do(monkeypatch):
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", "s3://key:s3cr3t@bucket/team")
    message = (
        r"RECOMMENDER_ARTIFACTS=s3://\S*bucket/team has a login or a query: give only bucket and "
        "folder, and set the login as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )
    with pytest.raises(UserError, match=message):
        store.root_setting()


def test_a_root_that_is_no_folder_is_refused(artifacts):
    store.require_writable()
    artifacts.touch()
    with pytest.raises(UserError):
        store.require_writable()


def test_the_cache_of_a_remote_root_is_invalidated_for_all_machines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", (tmp_path / "shared").as_uri())
    (tmp_path / "shared" / "cache").mkdir(parents=True)
    assert artifacts_root.cache_generation() == ""
    store.invalidate_cache()
    first = artifacts_root.cache_generation()
    assert first == (tmp_path / "shared" / "cache" / "generation").read_text()
    store.invalidate_cache()
    assert first != artifacts_root.cache_generation() != ""
