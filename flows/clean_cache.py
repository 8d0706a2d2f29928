"""clean_cache: delete the cached stage outputs of this machine."""

from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig


class CleanCacheConfig(StrictConfig):
    """Delete what stages have cached on this machine; entries that are being written stay."""


def command(config: CleanCacheConfig) -> int:
    """Delete the local cache; a remote artifacts root, which other machines use, is not changed."""
    freed_bytes = store.prune_local(0, store.oldest_writer_start())
    print(f"{freed_bytes / 1e6:.0f} MB deleted from {store.cache_root()}.")
    return 0


if __name__ == "__main__":
    from flows.cli.app import run_module

    run_module("clean-cache")
