"""The experiment opens as one of trainings; what a person changed in MLflow stays."""

import json

from tasks.registry.tracking.experiment_page import (
    DESCRIPTION,
    KIND,
    MODEL_TRAINING,
    VIEW_TAG,
    describe_experiment,
    view_page,
)
from tasks.registry.tracking.mlflow_client import connect, experiment_id


def tags_after(**present: str) -> dict[str, str]:
    client = connect()
    experiment = experiment_id(client)
    for name, value in present.items():
        client.set_experiment_tag(experiment, name, value)
    describe_experiment(client, experiment)
    tags: dict[str, str] = client.get_experiment(experiment).tags
    return tags


def test_a_new_experiment_has_kind_description_and_view(artifacts):
    tags = tags_after()
    assert tags[KIND] == MODEL_TRAINING
    assert view_page("", experiment_id(connect())) in tags[DESCRIPTION]
    state = json.loads(tags[VIEW_TAG])
    assert "metrics.`headline/test_f1_micro`" in state["selectedColumns"]


def test_what_a_person_has_written_stays_and_the_view_is_that_of_this_release(artifacts):
    tags = tags_after(**{DESCRIPTION: "Ours", KIND: "classification", VIEW_TAG: "{}"})
    assert (tags[DESCRIPTION], tags[KIND]) == ("Ours", "classification")
    assert json.loads(tags[VIEW_TAG])["selectedColumns"]
