"""The base of every config: an unknown setting is an error, and errors do not quote values."""

from pydantic import BaseModel


class StrictConfig(BaseModel, extra="forbid", hide_input_in_errors=True):
    """Settings that refuse unknown names.

    A source may hold a password, so the text of an error never quotes the value that was refused.
    A config that an earlier version stored may have settings that are gone since: read it with
    `model_validate(…, extra="ignore")`.
    """
