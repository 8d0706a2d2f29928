"""Stored outputs of a run -> figures, the HTML report and Prefect artifacts."""
