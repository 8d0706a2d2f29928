"""One stage of the workflow a module: its config, its pure functions, and one thin task."""

from tasks.core.redaction import hide_credentials_in_logs

hide_credentials_in_logs()  # here, since every process that does a part of a run imports it
