"""Commands that are printed give the run's config again, and leave out what is as by default."""

import shlex
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.batch import BatchConfig, batch
from flows.cli.command_line import parse
from flows.config import TrainConfig
from flows.refresh import RefreshConfig, refresh
from flows.release import ReleaseConfig
from flows.runtime.local_stack.access import LOCAL_SERVER
from flows.runtime.parameters import FlowParameters
from flows.runtime.resume_commands import arguments, command_of, flags, resume_command
from flows.train import train

AWKWARD = ["null", "true", "[x].csv", '["x"]', "{a", "a,b.csv", "it's", '"q"', "-x", "--source"]
AWKWARD += ["a b.csv", "name=x=1.csv", "\\", "$HOME", "`id`", "é;|&", "a\nb", "1", "", "None", "*?"]
texts = st.sampled_from(AWKWARD) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12
)
maybe = st.none() | texts
columns = st.fixed_dictionaries({}, optional={"title": maybe, "genres": maybe})
ingest = st.fixed_dictionaries(
    {}, optional={"columns": columns, "keywords": maybe, "chunk_rows": st.integers(1, 10**6)}
)
CONFIGS: dict[type[FlowParameters], st.SearchStrategy[dict[str, Any]]] = {
    TrainConfig: st.fixed_dictionaries(
        {"preset": st.sampled_from(["default", "blog", "blog-tuned"])},
        optional={
            "source": st.lists(texts, min_size=1, max_size=3),
            "refresh": st.booleans(),
            "deterministic": st.booleans(),
            "notify": maybe,
            "retention": st.fixed_dictionaries({}, optional={"cache_gb": st.floats(0.1, 1e9)}),
            "ingest": ingest,
            "classifier": st.fixed_dictionaries(
                {},
                optional={
                    "hidden": st.lists(st.integers(1, 99), min_size=1, max_size=3),
                    "patience": st.none() | st.integers(1, 9),
                    "threshold": st.none() | st.floats(0.01, 0.99),
                },
            ),
            "drift": st.fixed_dictionaries({}, optional={"stop_above": st.floats(0.1, 9)}),
        },
    ),
    RefreshConfig: st.fixed_dictionaries(
        {"file": texts.filter(lambda text: text != "--")},
        optional={"into": maybe, "notify": maybe, "ingest": ingest},
    ),
    BatchConfig: st.fixed_dictionaries(
        {}, optional={"file": maybe, "output": maybe, "limit": st.integers(1, 100)}
    ),
    ReleaseConfig: st.sampled_from(
        [
            {"action": "list"},
            {"action": "list", "json": True},
            {"action": "promote", "versions": ["3"]},
            {"action": "diff", "versions": ["champion", "-x"]},
        ]
    ),
}
names = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.__name__)


@names
@settings(deadline=None, max_examples=40)
@examples(data=st.data())
def test_arguments_of_a_config_give_the_config_again(config, data):
    wanted = config.model_validate(data.draw(CONFIGS[config]))
    assert parse(config, "program", arguments(wanted)) == wanted


@pytest.mark.parametrize("name", AWKWARD)
def test_a_shell_hands_over_what_a_command_quotes(name):
    wanted = RefreshConfig(file=name, into=name)
    words = shlex.split(command_of("refresh", wanted))
    assert words[1] == "refresh"
    assert parse(RefreshConfig, "refresh", words[2:]) == wanted


def test_a_command_has_what_differs_and_no_more():
    assert arguments(RefreshConfig(file="new.csv")) == ["new.csv"]
    assert arguments(BatchConfig(limit=5)) == ["--limit=5"]
    assert arguments(BatchConfig()) == []
    assert arguments(ReleaseConfig(action="promote", versions=["2"])) == ["promote", "2"]
    blog = TrainConfig.model_validate({"source": ["a.csv", "b.csv"], "preset": "blog"})
    assert arguments(blog) == ["--preset=blog", "--source=a.csv", "--source=b.csv"]


def test_flags_of_all_settings_give_the_config_again():
    settings = {"source": ["a=x,1.csv", "b.csv"], "classifier": {"hidden": [8, 4]}}
    config = TrainConfig.model_validate(settings)
    values = config.model_dump(mode="json", exclude_none=True)
    assert parse(TrainConfig, "train", flags(values)) == config


def run_of(config: dict[str, Any], **more: Any) -> FlowRun:
    return FlowRun(flow_id=uuid4(), parameters={"config": config}, **more)


def test_the_run_of_a_deployment_is_retried_on_its_server():
    run = run_of({"sourc": 1}, deployment_id=uuid4())
    with temporary_settings({PREFECT_API_URL: "https://team:s3cr3t@prefect/api"}):
        command = resume_command(train, run)
    assert command.startswith("PREFECT_API_URL='https://***@prefect/api' ")
    assert f"prefect flow-run retry {run.id}  # put the credentials" in command


def test_a_retry_reads_the_access_file_by_a_path_that_a_shell_does_not_search(
    monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", ".")
    (tmp_path / "stack.env").write_text(f"export PREFECT_API_URL={LOCAL_SERVER}\n")
    with temporary_settings({PREFECT_API_URL: LOCAL_SERVER}):
        command = resume_command(train, run_of({}, deployment_id=uuid4()))
    assert command.startswith(f". {tmp_path}/stack.env && ")


def test_a_command_names_what_decides_where_files_are(monkeypatch, tmp_path):
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(tmp_path / "a b"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/a b/mlflow.db")
    command = resume_command(batch, run_of({}))
    assert command.startswith(f"RECOMMENDER_ARTIFACTS='{tmp_path}/a b' ")
    assert "MLFLOW" not in command
    monkeypatch.delenv("RECOMMENDER_ARTIFACTS")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert resume_command(batch, run_of({})).endswith("movie-recommender batch")


def test_a_command_has_stars_for_credentials_and_says_so(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://team:s3cr3t@mlflow")
    command = resume_command(refresh, run_of({"file": "https://alice:s3cr3t@h/m.csv?sig=s3cr3t"}))
    assert "'https://***@h/m.csv?***'" in command
    assert "MLFLOW_TRACKING_URI=https://mlflow MLFLOW_TRACKING_USERNAME='***'" in command
    assert command.endswith("  # put the credentials where *** stands")
    assert "s3cr3t" not in command
