"""clean_cache: delete what stages have cached on this machine."""

from flows.cli.command_line import DONE, main
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig


class CleanCacheConfig(StrictConfig):
    """Delete what stages have cached on this machine, but for what is being written now."""


def command(config: CleanCacheConfig) -> int:
    """From the terminal; a shared artifacts root keeps its copy, which other machines use."""
    freed = store.prune_local(0, store.oldest_writer_start())
    print(f"{freed / 1e6:.0f} MB deleted from {store.cache_root()}.")
    return DONE


if __name__ == "__main__":
    main(CleanCacheConfig, "python -m flows.clean_cache", command)
