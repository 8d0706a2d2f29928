"""What MLflow shows of the experiment: its kind, its description, and a view with the scores.

MLflow keeps the columns of its table of runs in each browser, unless an address names a view that
is stored with the experiment.
"""

import json
from typing import Any
from urllib.parse import quote

import mlflow

from tasks.registry.tracking.metric_groups import grouped_name

VIEW = "scores"  # name of the stored view, in addresses
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
KIND, DESCRIPTION = "mlflow.experimentKind", "mlflow.note.content"
MODEL_TRAINING = "custom_model_development"  # not of agents
#: Query of an address that opens MLflow's pages for model training; others open those for agents.
FOR_TRAINING = "workflowType=machine_learning"
#: Columns and charts of the view: scores and, beside them, the popularity bias of lists.
SCORES = (
    "test_f1_micro",
    "test_f1_macro",
    "rec_keyword_ndcg_at_10",
    "rec_franchise_recall_at_10",
    "rec_top20_share",
)
TAGS = ("source", "preset", "promoted")
COLUMN_WIDTH = 190  # pixels; MLflow's own shows two thirds of a name
SECTION = "Scores"  # of the charts


def describe_experiment(client: mlflow.MlflowClient, experiment_id: str) -> None:
    """Set kind, description and view of the experiment where they are missing or outdated.

    A kind or a description that a person has chosen stays.
    """
    present = client.get_experiment(experiment_id).tags
    chosen = {KIND: MODEL_TRAINING, DESCRIPTION: description(experiment_id)}
    missing = {name: value for name, value in chosen.items() if name not in present}
    for name, value in (missing | {VIEW_TAG: view()}).items():
        if present.get(name) != value:
            client.set_experiment_tag(experiment_id, name, value)


def view() -> str:
    """The view as JSON of MLflow's page: columns, and the charts above those of all metrics."""
    names = [grouped_name(name) for name in SCORES]
    metrics = [f"metrics.`{name}`" for name in names]
    tags = [f"tags.`{name}`" for name in TAGS]
    state = {
        "selectedColumns": ["attributes.`Duration`", "attributes.`Models`", *metrics, *tags],
        "columnOrder": metrics,
        "columnWidths": dict.fromkeys(metrics, COLUMN_WIDTH),
        "compareRunCharts": [_bar_chart(name) for name in names],
        "compareRunSections": [{"uuid": SECTION, "name": SECTION, "display": True}],
        "isAccordionReordered": True,  # otherwise sections are sorted by name
    }
    return json.dumps(state)


def _bar_chart(metric: str) -> dict[str, Any]:
    """A bar for each of the runs that are shown."""
    return {
        "type": "BAR",
        "uuid": f"{SECTION}-{metric}",
        "metricSectionId": SECTION,
        "metricKey": metric,
        "runsCountToCompare": 10,
        "deleted": False,
        "isGenerated": False,
    }


def view_page(server: str, experiment_id: str, charts: bool = False) -> str:
    """Address of the view on an MLflow server: the table of runs, or their charts."""
    mode = "&compareRunsMode=CHART" if charts else ""
    page = f"{server}/#/experiments/{quote(experiment_id)}/runs"
    return f"{page}?{FOR_TRAINING}&viewStateShareKey={VIEW}{mode}"


def description(experiment_id: str) -> str:
    """Markdown above the runs: what is in the experiment, and where to start."""
    table, charts = (view_page("", experiment_id, charts) for charts in (False, True))
    return f"""Every training and every refresh of the movie recommender is a run here.

- [Table with the scores]({table}) · [charts of the headline scores]({charts})
- `headline/…` decide about promotion. `member/…` and `baseline/…` are to compare with, `interval/…`
  are the bounds of 95% intervals, `gate/…` the comparison with the champion.
- Only runs with the same `source` and `preset` are comparable.
- A run's description has its scores and next commands; `report.html` among its artifacts, all.
"""
