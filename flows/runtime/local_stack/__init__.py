"""The local stack of `make serve`: Prefect server, worker and MLflow UI on 127.0.0.1."""
