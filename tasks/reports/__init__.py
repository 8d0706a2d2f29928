"""What a run stored -> figures, the HTML report and Prefect artifacts."""
