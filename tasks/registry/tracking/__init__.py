"""A run -> MLflow: parameters, metrics, artifacts and the registered model."""
