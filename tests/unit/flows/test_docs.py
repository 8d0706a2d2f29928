"""What the README and `prefect.yaml` say is what the code does."""

import yaml
from prefect.settings.models.flows import FlowsSettings
from prefect.utilities.importtools import import_object

from flows.config import PRESETS, TrainConfig, settings_table, write_settings
from flows.runtime.local_stack import stack
from tests.conftest import ROOT

CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
SCHEDULES = (ROOT / "docs" / "schedule.md").read_text(encoding="utf-8")


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


def test_automations_have_the_names_that_the_stack_looks_for():
    for name, file in stack.AUTOMATIONS.items():
        assert yaml.safe_load(file.read_text())["name"] == name


def test_a_run_that_lives_is_not_taken_for_dead():
    automation = yaml.safe_load(stack.AUTOMATIONS["crash-zombie-flows"].read_text())
    every = FlowsSettings.model_fields["heartbeat_frequency"].default
    assert automation["trigger"]["within"] > 3 * every


def test_presets_name_fields_that_exist():
    for preset, stages in PRESETS.items():
        config = TrainConfig.model_validate({"preset": preset})
        for stage, values in stages.items():
            for name, value in values.items():
                assert getattr(getattr(config, stage), name) == value
