"""What ties a stage to Prefect: its task, retries, arrows of the graph, progress, artifacts."""
