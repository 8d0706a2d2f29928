"""Names that a run leaves in MLflow."""

import mlflow

from tasks.registry.tracking.mlflow_client import connect


def run_names(run_id: str) -> dict[str, list[str]]:
    """Metrics, params, tags, artifacts and datasets of a run; tags of the version it registered.

    Without what MLflow adds: tags and, in runs of more than five seconds, metrics of the machine.
    """
    client = connect()
    run = client.get_run(run_id)
    (version,) = client.search_model_versions(f"run_id = '{run_id}'")
    datasets = run.inputs.dataset_inputs if run.inputs else []
    return {
        "metrics": [name for name in sorted(run.data.metrics) if not name.startswith("system/")],
        "params": sorted(run.data.params),
        "tags": [name for name in sorted(run.data.tags) if not name.startswith("mlflow.")],
        "artifacts": artifact_paths(client, run_id),
        "datasets by context": [tag.value for dataset in datasets for tag in dataset.tags],
        "tags of the version": sorted(version.tags),
    }


def added_names(run_id: str, other_run_id: str) -> dict[str, list[str]]:
    """The names of a run that another run has not."""
    other = run_names(other_run_id)
    return {
        kind: [name for name in names if name not in other[kind]]
        for kind, names in run_names(run_id).items()
    }


def artifact_paths(client: mlflow.MlflowClient, run_id: str, folder: str = "") -> list[str]:
    """Paths of all files of a run, sorted."""
    paths = []
    for file in client.list_artifacts(run_id, folder or None):
        paths += artifact_paths(client, run_id, file.path) if file.is_dir else [file.path]
    return sorted(paths)
