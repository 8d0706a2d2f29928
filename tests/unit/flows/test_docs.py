"""What the README and `prefect.yaml` say is what the code does."""

import ast
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_TIMEOUT
from prefect.settings.models.flows import FlowsSettings
from prefect.utilities.importtools import import_object

from flows.config import PRESETS, TrainConfig, settings_table, write_settings
from flows.runtime.local_stack import stack
from tasks.data.cells import Reason
from tests.conftest import ROOT

CONFIGURATION, SCHEDULES, ARCHITECTURE, DATA_FORMATS, OPERATIONS, TROUBLESHOOTING = (
    (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for name in (
        *("configuration", "schedule", "architecture", "data-formats", "operations"),
        "troubleshooting",
    )
)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SETTING = re.compile(r"`--([a-z]+\.[a-z-]+) ([\d.]+)`|`--([a-z]+\.[a-z-]+)` \(([\d.,]+)\)")


def test_configuration_lists_every_setting_as_the_config_classes_have_it(tmp_path):
    copy = tmp_path / "configuration.md"
    copy.write_text(CONFIGURATION, encoding="utf-8")
    write_settings(copy)
    assert copy.read_text(encoding="utf-8") == CONFIGURATION, "run python -m flows.config"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_every_setting_is_described():
    for row in settings_table():
        assert not row.endswith("| None |"), row


def test_deployments_can_be_loaded_and_their_parameters_are_valid():
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    for deployment in deployments:
        flow = import_object(str(ROOT / deployment["entrypoint"]))
        flow.validate_parameters(deployment["parameters"])
        assert f"`{flow.name}/{deployment['name']}`" in SCHEDULES
    scheduled = {one["name"] for one in deployments if one["schedules"]}
    assert scheduled == {"weekly", "daily"}


def test_a_run_of_a_deployment_waits_for_the_one_before_it():
    for deployment in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]:
        limit = deployment["concurrency_limit"]
        assert limit == {"limit": 1, "collision_strategy": "ENQUEUE"}


def packages(folder: Path) -> set[str]:
    files = folder.rglob("__init__.py")
    return {file.parent.relative_to(folder).as_posix() for file in files} - {"."}


def listed_packages(top: str) -> list[str]:
    """Packages below a top folder in the order of the layout that the page shows."""
    tree = ARCHITECTURE.split("## Layout\n\n```\n")[1].split("```")[0]
    below = tree.split(f"{top}/ ")[1].split("\n", 1)[1]
    indented = re.match(r"(?:  .*\n)*", below)
    return re.findall(r"^  ([a-z_/]+)/ ", indented[0] if indented else "", re.MULTILINE)


@pytest.mark.parametrize("top", ["flows", "tasks"])
def test_the_layout_lists_every_package(top):
    assert sorted(listed_packages(top)) == sorted(packages(ROOT / top))


def test_the_layout_has_the_order_of_the_import_rules():
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = [one["layers"] for one in linter["contracts"] if one.get("containers")]
    assert [name for name in listed_packages("tasks") if "/" not in name] == layers[::-1]


def test_the_layout_names_files_that_exist():
    tree = ARCHITECTURE.split("## Layout\n\n```\n")[1].split("```")[0]
    for name in re.findall(r"^  ([a-z_]+\.py) ", tree, re.MULTILINE):
        assert (ROOT / "flows" / name).exists(), name


def test_the_reasons_of_the_quarantine_are_those_of_the_code():
    table = DATA_FORMATS.split("| reason | meaning |")[1].split("\n\n")[0]
    first_cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", "".join(first_cells))) == sorted(get_args(Reason))


def default_of(setting: str) -> Any:
    stage, name = setting.replace("-", "_").split(".")
    return getattr(getattr(TrainConfig(), stage), name)


def test_defaults_in_sentences_are_those_of_the_settings():
    """As `--retention.trainings 5` in the table of what is kept, or `--label.min-support` (5)."""
    retention = OPERATIONS.split("## Retention")[1].split("##")[0]
    texts = [retention, *(page.read_text(encoding="utf-8") for page in PAGES)]
    named = [match for match in SETTING.findall(retention) if match[0]]
    named += [match for text in texts for match in SETTING.findall(text) if match[2]]
    assert len(named) >= 5
    for setting, value, other, bracketed in named:
        shown = float((value or bracketed).replace(",", ""))
        assert default_of(setting or other) == shown, setting or other


def string_constants() -> str:
    """Every text in the code, those of f-strings without their values, one after the other."""
    files = [path for name in ("app", "flows", "tasks") for path in (ROOT / name).rglob("*.py")]
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in files)
    nodes = (node for tree in trees for node in ast.walk(tree))
    return "\n".join(
        "…".join(str(part.value) if isinstance(part, ast.Constant) else "" for part in node.values)
        if isinstance(node, ast.JoinedStr)
        else str(node.value)
        for node in nodes
        if isinstance(node, ast.JoinedStr)
        or (isinstance(node, ast.Constant) and isinstance(node.value, str))
    )


def is_composed_of(texts: str, message: str) -> bool:
    """Whether a message is in a text, or its beginning in one and its end in another."""
    words = message.split(" ")
    parts = [(" ".join(words[:place]), " ".join(words[place:])) for place in range(len(words))]
    return any(head in texts and tail in texts for head, tail in parts)


def test_messages_that_troubleshooting_explains_are_messages_of_the_code():
    texts = string_constants()
    rows = re.findall(r"^\| (`[^|]+) \|", TROUBLESHOOTING, re.MULTILINE)
    messages = [span for row in rows for span in re.findall(r"`([^`]+)`", row)]
    assert len(messages) > 10
    foreign = {"AwaitingConcurrencySlot", "prefect deploy", "mlflow.db"}
    for message in set(messages) - foreign:
        for part in re.split(r"…|'[^']*'|\d+", message):
            assert is_composed_of(texts, part.strip(" .;:()")), message


def test_automations_have_the_names_that_the_stack_looks_for():
    for name, file in stack.AUTOMATIONS.items():
        assert yaml.safe_load(file.read_text())["name"] == name


def test_a_run_that_lives_is_not_taken_for_dead():
    automation = yaml.safe_load(stack.AUTOMATIONS["crash-zombie-flows"].read_text())
    every = FlowsSettings.model_fields["heartbeat_frequency"].default
    assert automation["trigger"]["within"] > 3 * every


def test_times_that_operations_names_are_those_of_the_programs():
    zombies, endless = (
        yaml.safe_load(stack.AUTOMATIONS[name].read_text())
        for name in ("crash-zombie-flows", "cancel-endless-runs")
    )
    assert "Crashed after ten minutes without a heartbeat" in OPERATIONS
    assert zombies["trigger"]["within"] == 600
    assert zombies["actions"][0]["state"] == "CRASHED"
    assert "cancels it after a day" in OPERATIONS
    assert endless["trigger"]["within"] == 24 * 3600
    assert endless["actions"] == [{"type": "cancel-flow-run"}]
    assert "sends a heartbeat every 180 seconds" in OPERATIONS
    assert FlowsSettings.model_fields["heartbeat_frequency"].default == 180
    assert "Calls to MLflow time out after two minutes" in OPERATIONS
    assert MLFLOW_HTTP_REQUEST_TIMEOUT.default == 120


def test_presets_name_fields_that_exist():
    for preset, stages in PRESETS.items():
        config = TrainConfig.model_validate({"preset": preset})
        for stage, values in stages.items():
            for name, value in values.items():
                assert getattr(getattr(config, stage), name) == value


def test_pages_and_messages_have_the_documented_spelling_of_flags():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *ROOT.glob("CH*.md")]
    texts = [string_constants(), *(page.read_text(encoding="utf-8") for page in pages)]
    assert re.findall(r"(?<![\w-])--[a-z][a-z0-9.-]*_[\w.-]*", "\n".join(texts)) == []
