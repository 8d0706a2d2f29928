"""One stage of the workflow a module: its config, its pure functions, and one thin task."""
