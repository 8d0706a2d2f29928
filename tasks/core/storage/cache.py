"""First task of a flow: decides whether the run may reuse stored entries."""

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks.core.storage import store


@task(name="open-cache", cache_policy=NO_CACHE)
def open_cache(refresh: bool) -> None:
    """Invalidate all cache entries if `refresh` is set, so that the run computes every stage."""
    if refresh:
        store.invalidate_cache()
        get_run_logger().info("all cache entries invalidated: every stage is computed again")
