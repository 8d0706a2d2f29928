"""Text -> the same text with `***` in place of the credentials of its URIs.

The URI of a source, a tracking server or a database may contain a password or a signed query. Only
the config contains it: stored records, logs, messages and printed commands are redacted.
"""

import logging
import re
import sys
import traceback
from typing import Any

HIDDEN = "***"
#: Schemes in which the name before `@` is a storage container, not a secret.
CONTAINERS = ("abfs", "abfss", "wasb", "wasbs")
_SCHEME = r"(?P<scheme>\b[a-zA-Z][a-zA-Z0-9+.-]{0,30})://"
#: User name and password up to the last `@` before the path. A password may contain unescaped
#: `/?#`, but a port, a drive letter or another URI of a chain (`::`) is not a password.
_USERINFO = re.compile(
    _SCHEME + r"(?P<user>[^\s/?#@]*(?:@[^\s/?#@]*)*"
    r"|(?![a-zA-Z]:[/\\])[^\s/?#@:\"']*:(?!\d+[/?#]|:)(?:(?!::|://)[^\s@\"<>])*)@"
)
_END = r"[^\s\"'<>`.,:;!?)\]}]"  # punctuation and quotes after a URI are not part of it
_INNER = r"(?:(?!::[a-z][a-z0-9+.-]*://)(?:[^\s\"'<>`]|'(?=[\w%&=+/-])))*"
_PATH = r"(?:(?!://)[^\s\"<>`?#])*"
#: The query of a web address, and a fragment with assignments (`name=value`).
_WEB_QUERY = re.compile(rf"(?i:\b(https?://{_PATH}))\?{_INNER}{_END}")
_WEB_FRAGMENT = re.compile(rf"(?i:\b(https?://{_PATH}))#(?!/)(?=[\w.-]+=){_INNER}{_END}")
#: The query of any other URI. A `?` without an assignment after it is part of a glob pattern.
_QUERY = re.compile(rf"({_SCHEME}{_PATH})\?(?=[\w.~%$\[\]-]+=){_INNER}{_END}")
#: Secret parameters of an address without scheme and host, as some libraries quote it.
_PARAMETER = re.compile(
    r"(?P<name>[?&](?:x-amz-[\w-]+|x-goog-[\w-]+|awsaccesskeyid|googleaccessid|key-pair-id|policy"
    r"|sig|signature|(?:\w*[_-])?(?:token|key|apikey|password|passwd|pwd|secret))=)[^\s&\"'<>*]+",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """`text` with `***` in place of the credentials of every URI in it.

    Redacted are user name and password, the query of a web address, and, if it has assignments, the
    fragment of a web address and the query of any other URI. All other text is unchanged.
    """
    if "://" in text:
        text = _USERINFO.sub(_redact_user, text)
        for pattern in (_WEB_QUERY, _QUERY):
            text = pattern.sub(rf"\1?{HIDDEN}", text)
        text = _WEB_FRAGMENT.sub(rf"\1#{HIDDEN}", text)
    return _PARAMETER.sub(rf"\g<name>{HIDDEN}", text)


def _redact_user(match: re.Match[str]) -> str:
    if not match["user"] or (match["scheme"] in CONTAINERS and ":" not in match["user"]):
        return match[0]
    return f"{match['scheme']}://{HIDDEN}@"


def hide_credentials_in_logs() -> None:
    """Redact every log record of this process, including those of libraries."""
    make_record = logging.getLogRecordFactory()

    def make_redacted_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        return _redact_record(make_record(*args, **kwargs))

    logging.setLogRecordFactory(make_redacted_record)


def _redact_record(record: logging.LogRecord) -> logging.LogRecord:
    """Redact the message of a record and the traceback of its error."""
    try:
        message = record.getMessage()
    except (
        TypeError,
        ValueError,
    ):  # wrong arguments: logging reports them later
        return record
    if (redacted_message := redacted(message)) != message:
        record.msg, record.args = redacted_message, None
    if record.exc_info and record.exc_info[1]:
        lines = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
        if (redacted_lines := redacted(lines)) != lines:
            record.exc_text = redacted_lines
    return record


def print_redacted(_kind: type[BaseException], error: BaseException, _traceback: Any) -> None:
    """A `sys.excepthook` that prints a redacted traceback."""
    print(redacted("".join(traceback.format_exception(error))), end="", file=sys.stderr)
