"""Decides at the start of a run whether it may reuse stored entries."""

from prefect import get_run_logger

from tasks.core.storage import store


def open_cache(refresh: bool) -> None:
    """Invalidate all cache entries if `refresh` is set, so that the run computes every stage."""
    if refresh:
        store.invalidate_cache()
        get_run_logger().info("all cache entries invalidated: every stage is computed again")
