"""The store before a run: what it may reuse."""

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks.core.storage import store


@task(name="open-cache", cache_policy=NO_CACHE)
def open_cache(refresh: bool) -> None:
    """With `refresh`, make the run use nothing that was cached before it."""
    if refresh:
        store.invalidate_cache()
        get_run_logger().info("nothing cached so far will be used")
