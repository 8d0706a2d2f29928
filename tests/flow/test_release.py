"""Promotion, rollback, comparison and retirement of versions, on a tiny catalogue."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowFilter,
    FlowFilterName,
)
from prefect.client.schemas.objects import FlowRun
from pydantic import ValidationError

from flows.cli.command_line import main, parse
from flows.cli.subcommands.predict import PredictConfig
from flows.cli.subcommands.predict import command as predict
from flows.cli.subcommands.release import command
from flows.config import TrainConfig
from flows.phases.start import reason_to_skip
from flows.refresh import refresh
from flows.release import ReleaseConfig, perform_action, release
from flows.train import train
from tasks.core.contracts import UserError
from tasks.core.storage import store
from tasks.data.drift import DriftConfig, measure_drift, profile_source
from tasks.recommend.index import lancedb_uri, publish_version
from tasks.recommend.search import open_version
from tasks.registry.aliases import versions_by_alias
from tasks.registry.champion import from_tags, load_champion, model_folders
from tasks.registry.model_registry import MODEL, unpack_tags
from tasks.registry.release import Difference, find_version, versions
from tasks.registry.retention import retire_versions
from tasks.registry.tracking.metric_groups import without_groups
from tasks.registry.tracking.mlflow_client import connect
from tasks.reports.summary import Summary, next_commands, promotion_text
from tests.conftest import movie, write_csv
from tests.support.index_rows import rows
from tests.support.new_movies import NEW, asked_to_add
from tests.support.rich_catalogue import CLASSES, KEPT, RICH_COLUMNS, rich_movie, rich_movies
from tests.support.trained_root import WEIGHTS, artifacts_in, rich_settings
from tests.support.trainings import TINY, TINY_NET, WORSE, settings

pytestmark = pytest.mark.usefixtures("prefect_server", "blank_figures")


class History(NamedTuple):
    """Four runs: the shared one, two that change its settings, one on a source with more movies.

    The last one tolerates every loss, since its gate has few movies; `unsure` is the one before,
    without any tolerance.
    """

    source: Path
    larger_source: Path
    artifacts: Path
    runs: list[Summary]
    unsure: Summary


def trained(config: TrainConfig) -> Summary:
    summary = train(config)
    assert isinstance(summary, Summary)
    return summary


def write_larger_source(folder: Path) -> Path:
    rows = [*rich_movies(), *(rich_movie(number) for number in range(200, 230))]
    return write_csv(folder / "larger.csv", rows, RICH_COLUMNS)


@pytest.fixture(scope="module")
def history(shared_training, tmp_path_factory) -> History:
    root = shared_training.copy(tmp_path_factory.mktemp("history"))
    larger = write_larger_source(root.artifacts.parent)
    with artifacts_in(root.artifacts):
        runs = [
            root.summary,
            trained(rich_settings(root.source, classifier=WORSE)),
            trained(rich_settings(root.source, doc2vec=TINY["doc2vec"] | {"seed": 7})),
        ]
        unsure = trained(rich_settings(larger, gate={"tolerance": 0.0}))
        runs.append(trained(rich_settings(larger, gate={"tolerance": 1.0})))
    return History(root.source, larger, root.artifacts, runs, unsure)


@pytest.fixture(autouse=True)
def at_its_root(history, monkeypatch) -> None:
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(history.artifacts))


@pytest.fixture
def changeable(history, copied_root) -> History:
    """A copy of the history for a test that changes it."""
    return history._replace(artifacts=copied_root(history.artifacts))


def test_the_first_run_promotes_itself_and_a_worse_one_does_not(history):
    first, worse, again, larger = history.runs
    assert (first.outcome, first.why) == ("promoted", "no earlier champion")
    assert (worse.outcome, again.outcome) == ("rejected", "rejected")
    assert re.match(r"F1 micro is 0\.\d+ lower .*than the champion's \(significant", worse.why)
    assert again.why == (
        "neither F1 micro nor keyword nDCG@10 is significantly better than the champion's "
        "on the same source "
        "(candidate 2 against this champion)"
    )
    assert larger.outcome == "promoted"
    run = connect().get_run(worse.run.run_id)
    assert run.data.tags["promoted"] == "false"
    assert without_groups(run.data.metrics)["gate_f1_micro_difference"] < -0.01
    assert not [name for name in without_groups(run.data.metrics) if name.startswith("gate_test")]


def test_a_loss_that_cannot_be_excluded_waits_for_approval(history):
    assert history.unsure.outcome == "borderline"
    assert re.search(r" may be 0\.\d+ lower than .*tolerance 0\)", history.unsure.why)
    text = promotion_text(history.unsure)
    assert text.startswith(f"Model version {history.unsure.model_version} waits for your approval")
    (command, *_) = next_commands(history.unsure)
    assert command.endswith(f"movie-recommender release approve {history.unsure.model_version}")


def test_an_approved_version_becomes_the_champion(changeable):
    """As long as the champion is the version that it was compared with."""
    waiting = changeable.unsure
    approval = ReleaseConfig(action="approve", versions=[waiting.model_version])
    with pytest.raises(UserError, match=r"was compared with another champion .* train again"):
        perform_action(approval)
    compared_with = changeable.runs[0].model_version
    perform_action(ReleaseConfig(action="promote", versions=[compared_with]))
    rows = perform_action(approval)["versions"]
    assert load_champion().run_id == waiting.run.run_id
    (why,) = (row["why"] for row in rows if row["version"] == waiting.model_version)
    assert why.startswith("approved on ")


def test_a_version_that_does_not_wait_is_not_approved(changeable):
    before, rejected = load_champion(), changeable.runs[1].model_version
    with pytest.raises(UserError, match="waits for no approval: its gate said rejected"):
        perform_action(ReleaseConfig(action="approve", versions=[rejected]))
    assert load_champion() == before


def test_who_promotes_a_worse_version_accepts_its_loss(changeable):
    """Else every later version would be rejected for not being as good as one before it."""
    worse = changeable.runs[1].model_version
    assert from_tags(unpack_tags(find_version(connect(), worse).tags)).best["f1_micro"] == "1"
    perform_action(ReleaseConfig(action="promote", versions=[worse]))
    assert load_champion().best == {}


def test_a_version_is_also_compared_with_the_best_one_before_the_champion(changeable):
    """The champion is the last version; version 1 is the best, and the same training as here."""
    number = load_champion().version
    best = json.dumps({"f1_micro": "1", "keyword_ndcg_at_10": "1"})
    connect().set_model_version_tag(MODEL, number, "best", best)
    again = trained(rich_settings(changeable.source, gate={"tolerance": 0.0}))
    for metric in ("F1 micro", "keyword nDCG@10"):
        assert re.search(f"{metric} may be 0.[0-9]+ lower than the champion's", again.why)
        assert f"{metric} may be " in again.why.split("lower than the champion's")[-1]
    assert again.why.count("lower than version 1's, the best kept") == 2
    with_best = from_tags(unpack_tags(find_version(connect(), again.model_version).tags)).best
    assert with_best["f1_micro"] == "1"


def test_each_version_remembers_what_the_gate_said(history):
    first, worse, again, larger = (
        unpack_tags(find_version(connect(), summary.model_version).tags) for summary in history.runs
    )
    assert "compared_with" not in first
    compared_with = {tags["compared_with"] for tags in (worse, again, larger)}
    assert compared_with == {history.runs[0].run.run_id}
    assert [tags["gate"] for tags in (first, worse, larger)] == [
        *("promoted", "rejected", "promoted")
    ]
    assert json.loads(worse["best"])["f1_micro"] == history.runs[0].model_version
    assert json.loads(first["best"]) == {}


def test_versions_are_listed_with_their_role(history, capsys):
    assert command(parse(ReleaseConfig, "release", ["list", "--json"])) == 0
    listed = json.loads(capsys.readouterr().out)["versions"]
    assert [row["role"] for row in listed] == ["champion", "", "", "", "previous"]
    assert "lower than the champion's" in listed[3]["why"]
    assert command(parse(ReleaseConfig, "release", ["list"])) == 0
    assert "champion" in capsys.readouterr().out


def runs_of_release() -> dict[str, FlowRun]:
    """The runs of `release` in Prefect by name, without the time of day."""
    with get_client(sync_client=True) as client:
        wanted = FlowFilter(name=FlowFilterName(any_=["release"]))
        runs = client.read_flow_runs(flow_filter=wanted)
    return {run.name.rpartition("-")[0]: run for run in runs}


def release_artifacts(run: FlowRun) -> dict[str | None, str | None]:
    """Descriptions of the artifacts of a run by their key."""
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
        artifacts = client.read_artifacts(artifact_filter=wanted)
    return {artifact.key: artifact.description for artifact in artifacts}


def test_a_release_from_the_terminal_is_a_run_in_prefect(history, capsys):
    first, worse = (summary.model_version for summary in history.runs[:2])
    for arguments in (["list"], ["diff", first, worse]):
        assert command(parse(ReleaseConfig, "release", arguments)) == 0
    printed, runs = capsys.readouterr(), runs_of_release()
    assert "champion" in printed.out
    assert runs["release-list"].state_name == "Completed"
    descriptions = release_artifacts(runs[f"release-diff-{first}-{worse}"])
    assert set(descriptions) == {f"release-{name}" for name in Difference._fields}
    assert descriptions["release-params"] == (
        f"Settings that differ between version {first} (a) and version {worse} (b)."
    )


def test_without_a_server_a_release_is_no_run(history, capsys, monkeypatch):
    monkeypatch.setattr("flows.runtime.server.running_server", lambda: None)
    monkeypatch.setattr("flows.cli.subcommands.release.release", lambda _: pytest.fail("a run"))
    assert command(parse(ReleaseConfig, "release", ["list"])) == 0
    assert "champion" in capsys.readouterr().out


def test_an_error_of_a_release_is_one_sentence_on_the_terminal(history, capfd):
    asked = {"config": ReleaseConfig, "program": "release", "command": command}
    with pytest.raises(SystemExit) as ended:
        main(**asked, arguments=["promote", "99"])
    assert ended.value.code == 2
    assert capfd.readouterr().err == "There is no version '99'. There are: 5, 4, 3, 2, 1.\n"
    assert runs_of_release()["release-promote-99"].state_name == "Failed"


def test_a_release_that_cannot_be_shown_is_not_undone(changeable, monkeypatch, caplog):
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("no server")

    monkeypatch.setattr("flows.release.show_table", unreachable)
    release(ReleaseConfig(action="rollback"))
    assert load_champion().run_id == changeable.runs[0].run.run_id
    assert "The tables are not shown: no server" in caplog.text


def test_a_rollback_can_be_undone_by_a_promotion(changeable):
    first, *_, larger = changeable.runs
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
    first, worse, *_ = history.runs
    arguments = ["diff", first.model_version, worse.model_version]
    assert command(parse(ReleaseConfig, "release", [*arguments, "--json"])) == 0
    tables = json.loads(capsys.readouterr().out)
    assert {"name": "classifier.epochs", "a": "25", "b": "1"} in tables["params"]
    by_name = {row["name"]: row for row in tables["metrics"]}
    assert by_name["test_f1_micro"]["difference"] < 0
    assert {row["genre"] for row in tables["genres"]} == set(CLASSES)
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
    with pytest.raises(UserError, match=r"There is no version '99'\. There are: 5, 4, 3, 2, 1"):
        perform_action(ReleaseConfig(action="promote", versions=["99"]))


def test_a_rollback_without_a_previous_champion_is_refused(artifacts, monkeypatch):
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(artifacts))
    with pytest.raises(UserError, match="no previous champion"):
        perform_action(ReleaseConfig(action="rollback"))


def test_a_run_with_an_unchanged_source_settings_and_code_is_skipped(history):
    config = rich_settings(history.larger_source, skip_unchanged=True)
    reason = "the champion was trained on this source with these settings and this code."
    assert train(config) == f"Skipped: {reason}"
    assert train(config, return_state=True).name == "Skipped"
    assert load_champion().run_id == history.runs[-1].run.run_id


def test_a_run_that_would_repeat_a_rejected_version_is_skipped(changeable):
    """Only against the same champion: over another one, it might be promoted."""
    worse = rich_settings(changeable.source, classifier=WORSE, skip_unchanged=True)
    assert reason_to_skip(worse) == ""
    perform_action(ReleaseConfig(action="rollback"))
    version = changeable.runs[1].model_version
    reason = train(worse)
    assert reason.startswith(f"Skipped: version {version} was trained on this source with these")
    assert "It was not promoted: F1 micro is 0." in reason


def test_a_run_that_would_repeat_a_version_that_waits_names_the_command(changeable):
    perform_action(ReleaseConfig(action="rollback"))
    strict = rich_settings(changeable.larger_source, gate={"tolerance": 0.0})
    reason = reason_to_skip(strict)
    assert "It waits for your approval (" in reason
    assert reason.endswith(f"movie-recommender release approve {changeable.unsure.model_version}")


@pytest.mark.parametrize(
    ("stage", "changed"),
    [
        ("label", {"min_support": 6}),
        ("text", {"pairs": False}),
        ("doc2vec", TINY["doc2vec"] | {"seed": 8}),
        ("classifier", TINY_NET | {"epochs": 26}),
        ("baseline", {"tfidf_c": (1.0,)}),
        ("rank", WEIGHTS | {"votes": 1}),
        ("index", {"ann_rows": 300}),
        ("ingest", TINY["ingest"] | {"max_quarantined_share": 0.4}),
    ],
)
def test_a_changed_setting_is_a_reason_to_train_again(history, stage, changed):
    assert reason_to_skip(rich_settings(history.larger_source))
    assert not reason_to_skip(rich_settings(history.larger_source, **{stage: changed}))


def cut_off(*_: object) -> None:
    raise OSError("killed")


def test_versions_out_of_retention_are_retired(changeable, monkeypatch):
    """The champion, the previous champion and the newest version stay; of the others, only the
    scores. The next clean-up completes one that was interrupted."""
    client, root = connect(), changeable.artifacts
    leftover = "run-" + client.create_run("1").info.run_id
    publish_version(lancedb_uri(), [rows(["Up"])], leftover)
    release(ReleaseConfig(action="rollback"))  # the last version is the newest, the first champion
    roles = versions_by_alias(client)
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
    worse = changeable.runs[1]
    assert worse.model_version in gone
    run = client.get_run(worse.run.run_id)
    assert without_groups(run.data.metrics)["test_f1_micro"] == worse.scores["test_f1_micro"]
    assert not (Path(run.info.artifact_uri.removeprefix("file://")) / "doc2vec").exists()
    tables = {path.stem for path in (root / "lancedb").iterdir()}
    assert tables == {version.tags["index_tag"] for version in versions(client)} | {leftover}
    client.set_terminated(leftover.removeprefix("run-"), "KILLED")
    retire_versions(client, trainings=1)
    assert leftover not in {path.stem for path in (root / "lancedb").iterdir()}
    for role in ("champion", "previous"):
        version = find_version(client, role)
        assert open_version(lancedb_uri(), version.tags["index_tag"]).count_rows()
        assert model_folders(from_tags(unpack_tags(version.tags))).doc2vec.is_dir()


def test_a_retired_version_leaves_the_models_that_a_refreshed_version_shares(changeable, tmp_path):
    first, *_, larger = changeable.runs
    perform_action(ReleaseConfig(action="rollback"))
    refresh(asked_to_add(write_csv(tmp_path / "new.csv", NEW, ["id", "title", "overview"])))
    perform_action(ReleaseConfig(action="promote", versions=[larger.model_version]))
    client = connect()
    assert first.model_version in retire_versions(client, trainings=1)
    refreshed = from_tags(unpack_tags(find_version(client, "previous").tags))
    assert refreshed.run_id == first.run.run_id
    assert all(folder.is_dir() for folder in model_folders(refreshed).model_dump().values())
    perform_action(ReleaseConfig(action="rollback"))
    assert predict(PredictConfig(text="A haunted grave")) == 0


def test_drift_above_the_limit_fails_the_run(history, tmp_path):
    rows = [movie(number, "Horror" if number % 12 else "Western") for number in range(150)]
    config = settings(write_csv(tmp_path / "horror.csv", rows), drift={"stop_above": 0.2})
    before = load_champion()
    with pytest.raises(UserError, match=r"drifted too far from the champion's: genres \d"):
        train(config)
    assert load_champion() == before


def test_drift_is_measured_against_the_source_of_the_champion(history):
    metrics = without_groups(connect().get_run(history.runs[-1].run.run_id).data.metrics)
    assert metrics["drift_genres"] == pytest.approx(0, abs=0.02)
    assert metrics["drift_movies_ratio"] == pytest.approx(180 / KEPT)


@pytest.mark.parametrize(("factor", "says"), [(1, False), (20, True)])
def test_drift_above_the_warning_limit_is_said_and_stops_nothing(
    copied_root, history, tmp_path, caplog, factor, says
):
    """The old profile has `factor` times as many movies of one genre."""
    copied_root(history.artifacts)
    chunks = history.runs[0].ingested.chunks
    profile = profile_source(chunks)
    counts = store.read_json(store.locate(profile))
    counts["genres"]["Horror"] *= factor
    old = tmp_path / "profile.json"
    store.write_json(old, counts)
    folder = model_folders(load_champion()).doc2vec

    @flow
    def check() -> None:
        measure_drift(chunks, profile, old, folder, DriftConfig(warn_above=0.1))

    check()
    warned = "The source has drifted from the champion's: genres" in caplog.text
    assert warned == says


def test_models_that_changed_after_registration_are_not_loaded(changeable):
    champion = load_champion()
    file = model_folders(champion).classifier / "thresholds.json"
    file.write_text(file.read_text() + "\n")
    with pytest.raises(UserError, match="its classifier has changed since it was registered"):
        model_folders(champion)
