"""The store's housekeeping around a run: forget before it, prune after it."""

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks import store

GRACE_SECONDS = 6 * 3600.0  # another run may be at work with what it used this recently


@task(name="open-cache", cache_policy=NO_CACHE)
def open_cache(refresh: bool) -> None:
    """With `refresh`, make the run use nothing that was cached before it."""
    if refresh:
        store.forget()
        get_run_logger().info("nothing cached so far will be used")


@task(name="prune-cache", cache_policy=NO_CACHE)
def prune_cache(cache_gb: float) -> None:
    """Cut the cache to `cache_gb` gigabytes, least recently used entries first."""
    freed = store.prune(int(cache_gb * 1e9), store.working_since() - GRACE_SECONDS)
    get_run_logger().info("%.2f GB freed", freed / 1e9)
