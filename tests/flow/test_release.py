"""Promotion, rollback, comparison and retirement of versions, on a tiny catalogue."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from flows.cli.command_line import parse
from flows.cli.release import command
from flows.phases.start import SKIPPED
from flows.release import ReleaseConfig, perform_action, release
from flows.train import train
from tasks.core.contracts import UserError
from tasks.recommend.index import lancedb_uri, publish_version
from tasks.recommend.search import open_version
from tasks.registry.aliases import versions_by_alias
from tasks.registry.champion import from_tags, load_champion, model_folders
from tasks.registry.release import find_version, versions
from tasks.registry.retention import retire_versions
from tasks.registry.tracking.mlflow_client import connect
from tasks.reports.summary import Summary
from tests.conftest import catalogue, movie, write_csv
from tests.support.index_rows import rows
from tests.support.trainings import settings

pytestmark = pytest.mark.usefixtures("prefect_server", "blank_figures")


def trained(source: Path, **more: object) -> Summary:
    summary = train(settings(source, **more))
    assert isinstance(summary, Summary)
    return summary


@pytest.fixture(scope="module")
def history(tmp_path_factory, prefect_server) -> tuple[Path, list[Summary]]:
    """Three runs: the first, a worse one of the same source, one of a source with more movies."""
    root = tmp_path_factory.mktemp("history")
    small = write_csv(root / "movies.csv", catalogue(150))
    large = write_csv(root / "more.csv", catalogue(180))
    large.rename(root / "larger.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOMMENDER_ARTIFACTS", str(root / "artifacts"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        worse = {"hidden": [2], "epochs": 1, "members": 1, "learning_rate": 1e-6}
        runs = [
            trained(small),
            trained(small, classifier=worse),
            trained(small, doc2vec={"vector_size": 16, "epochs": 60, "seed": 7}),
            trained(root / "larger.csv"),
        ]
    return root / "artifacts", runs


@pytest.fixture(autouse=True)
def at_its_root(history, monkeypatch) -> None:
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(history[0]))


def test_the_first_run_promotes_itself_and_a_worse_one_does_not(history):
    first, worse, again, larger = history[1]
    assert (first.champion, first.why) == (True, "no earlier champion")
    assert not worse.champion
    assert worse.why.startswith("F1 micro is 0.")
    assert worse.why.endswith(" lower than the champion's (tolerance 0.01)")
    assert (again.champion, larger.champion) == (False, True)
    assert "same source" in again.why
    run = connect().get_run(worse.run.run_id)
    assert run.data.tags["promoted"] == "false"
    assert run.data.metrics["gate_test_f1_micro_difference"] < -0.01
    assert run.data.metrics["champion_test_f1_micro"] == pytest.approx(
        connect().get_run(first.run.run_id).data.metrics["test_f1_micro"]
    )


def test_versions_are_listed_with_their_role(history, capsys):
    assert command(parse(ReleaseConfig, "release", ["list", "--json"])) == 0
    listed = json.loads(capsys.readouterr().out)["versions"]
    assert [row["role"] for row in listed] == ["champion", "", "", "previous"]
    assert "lower than the champion's" in listed[2]["why"]
    assert command(parse(ReleaseConfig, "release", ["list"])) == 0
    assert "champion" in capsys.readouterr().out


def test_a_rollback_can_be_undone_by_a_promotion(history):
    first, *_, larger = history[1]
    release(ReleaseConfig(action="rollback"))
    assert load_champion().run_id == first.run.run_id
    assert versions_by_alias(connect()) == {
        "champion": first.model_version,
        "previous": larger.model_version,
    }
    perform_action(ReleaseConfig(action="promote", versions=["previous"]))
    assert load_champion().run_id == larger.run.run_id
    table = open_version(load_champion().index.uri, load_champion().index.tag)
    assert table.count_rows() == larger.ingested.kept


def test_two_versions_side_by_side(history, capsys):
    first, worse, *_ = history[1]
    arguments = ["diff", first.model_version, worse.model_version]
    assert command(parse(ReleaseConfig, "release", [*arguments, "--json"])) == 0
    tables = json.loads(capsys.readouterr().out)
    assert {"name": "classifier.epochs", "a": "25", "b": "1"} in tables["params"]
    by_name = {row["name"]: row for row in tables["metrics"]}
    assert by_name["test_f1_micro"]["difference"] < 0
    assert {row["genre"] for row in tables["genres"]} == {"Horror", "Western", "Music"}
    assert command(parse(ReleaseConfig, "release", arguments)) == 0
    assert "classifier.epochs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["promote"], "promote takes 1 version, got 0"),
        (["diff", "1"], "diff takes 2 versions, got 1"),
        (["list", "1"], "list takes no version, got 1"),
    ],
)
def test_a_wrong_number_of_versions_is_refused(arguments, message):
    with pytest.raises(ValidationError, match=message):
        parse(ReleaseConfig, "release", arguments)


def test_an_unknown_version_is_refused_with_a_list_of_versions():
    with pytest.raises(UserError, match=r"There is no version '99'\. There are: 4, 3, 2, 1"):
        perform_action(ReleaseConfig(action="promote", versions=["99"]))


def test_a_rollback_without_a_previous_champion_is_refused(artifacts, monkeypatch):
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(artifacts))
    with pytest.raises(UserError, match="no previous champion"):
        perform_action(ReleaseConfig(action="rollback"))


def test_a_run_with_an_unchanged_source_settings_and_code_is_skipped(history):
    larger = history[1][-1]
    config = settings(history[0].parent / "larger.csv", skip_unchanged=True)
    assert train(config) == SKIPPED
    assert train(config, return_state=True).name == "Skipped"
    assert load_champion().run_id == larger.run.run_id
    other = config.model_copy(update={"label": config.label.model_copy(update={"min_support": 6})})
    assert isinstance(train(other), Summary)


def cut_off(*_: object) -> None:
    raise OSError("killed")


def test_versions_out_of_retention_are_retired(history, monkeypatch):
    """The champion, the previous champion and the newest version stay; of the others, only the
    scores. The next clean-up completes one that was interrupted."""
    client, root = connect(), history[0]
    roles = versions_by_alias(client)
    leftover = "run-" + client.create_run("1").info.run_id
    publish_version(lancedb_uri(), [rows(["Up"])], leftover)
    before = [version.version for version in versions(client)]
    with monkeypatch.context() as patch:
        patch.setattr("tasks.registry.retention.drop_versions", cut_off)
        with pytest.raises(OSError, match="killed"):
            retire_versions(client, trainings=1)
    assert [version.version for version in versions(client)] == before
    gone = retire_versions(client, trainings=1)
    left = {str(version.version) for version in versions(client)}
    assert left == {*roles.values(), max(left, key=int)}
    assert gone
    worse = history[1][1]
    assert worse.model_version in gone
    run = client.get_run(worse.run.run_id)
    assert run.data.metrics["test_f1_micro"] == worse.scores["test_f1_micro"]
    assert not (Path(run.info.artifact_uri.removeprefix("file://")) / "doc2vec").exists()
    tables = {path.stem for path in (root / "lancedb").iterdir()}
    assert tables == {version.tags["index_tag"] for version in versions(client)} | {leftover}
    client.set_terminated(leftover.removeprefix("run-"), "KILLED")
    retire_versions(client, trainings=1)
    assert leftover not in {path.stem for path in (root / "lancedb").iterdir()}
    for role in ("champion", "previous"):
        version = find_version(client, role)
        assert open_version(lancedb_uri(), version.tags["index_tag"]).count_rows()
        assert model_folders(from_tags(version.tags)).doc2vec.is_dir()


def test_drift_above_the_limit_fails_the_run(history, tmp_path):
    rows = [movie(number, "Horror" if number % 12 else "Western") for number in range(150)]
    config = settings(write_csv(tmp_path / "horror.csv", rows), drift={"stop_above": 0.2})
    before = load_champion()
    with pytest.raises(UserError, match=r"drifted too far from the champion's: genres \d"):
        train(config)
    assert load_champion() == before
    larger = connect().get_run(history[1][-1].run.run_id)
    assert larger.data.metrics["drift_genres"] == pytest.approx(0, abs=0.01)
    assert larger.data.metrics["drift_movies_ratio"] == pytest.approx(1.2)


def test_models_that_changed_after_registration_are_not_loaded(history):
    champion = load_champion()
    file = model_folders(champion).classifier / "thresholds.json"
    before = file.read_text()
    file.write_text(before + "\n")
    try:
        with pytest.raises(UserError, match="its classifier has changed since it was registered"):
            model_folders(champion)
    finally:
        file.write_text(before)
