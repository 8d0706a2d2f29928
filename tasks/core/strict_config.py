"""Base class of all configs: rejects unknown settings, and errors do not quote values."""

from pydantic import BaseModel


class StrictConfig(BaseModel, extra="forbid", hide_input_in_errors=True):
    """Settings that reject unknown names.

    Error messages never quote the rejected value, because a source may contain a password. A config
    stored by an earlier version may have settings that no longer exist: read it with
    `model_validate(…, extra="ignore")`.
    """
