"""Settings of retention, in a module that does not import MLflow."""

from pydantic import Field

from tasks.core.strict_config import StrictConfig


class RetentionConfig(StrictConfig):
    """How much of the output of earlier runs is kept."""

    trainings: int = Field(
        5,
        ge=1,
        description="Number of newest trainings whose model versions are kept, in addition to the "
        "current and the previous champion and the best versions; refreshes do not count as "
        "trainings",
    )
    failed_days: float = Field(
        7,
        ge=0,
        description="Days after which the model files of failed and killed runs are deleted; their "
        "metrics stay",
    )
    cache_gb: float = Field(
        20,
        gt=0,
        description="Maximum size of the cache in GB after a run; the least recently used entries "
        "are deleted first",
    )
    log_days: float = Field(
        30,
        ge=0,
        description="Days after its last line at which a file in artifacts/logs is deleted",
    )
