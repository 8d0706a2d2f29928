"""Texts without credentials: what stands in a URI is hidden before anything is written or shown.

A source, a tracking server or a database may be named by a URI that holds a password or a signed
query. Only the config keeps it; records, logs, messages and printed commands have `***` there.
"""

import logging
import re
import sys
import traceback
from typing import Any

HIDDEN = "***"
#: Schemes in which the name before `@` is a container and no secret.
CONTAINERS = ("abfs", "abfss", "wasb", "wasbs")
_SCHEME = r"(?P<scheme>\b[a-zA-Z][a-zA-Z0-9+.-]{0,30})://"
#: User name and password up to the last `@` before the path; a password may hold unescaped `/?#`,
#: but what begins like a port, a drive letter or another link of a chain (`::`) is none.
_USERINFO = re.compile(
    _SCHEME + r"(?P<user>[^\s/?#@]*(?:@[^\s/?#@]*)*"
    r"|(?![a-zA-Z]:[/\\])[^\s/?#@:\"']*:(?!\d+[/?#]|:)(?:(?!::|://)[^\s@\"<>])*)@"
)
_END = r"[^\s\"'<>`.,:;!?)\]}]"  # a sentence's punctuation and quotes after a URI are not its own
_INNER = r"(?:(?!::[a-z][a-z0-9+.-]*://)(?:[^\s\"'<>`]|'(?=[\w%&=+/-])))*"
_PATH = r"(?:(?!://)[^\s\"<>`?#])*"
#: The query of a web address, and a fragment that assigns something.
_WEB_QUERY = re.compile(rf"(?i:\b(https?://{_PATH}))\?{_INNER}{_END}")
_WEB_FRAGMENT = re.compile(rf"(?i:\b(https?://{_PATH}))#(?!/)(?=[\w.-]+=){_INNER}{_END}")
#: The query of any other URI: a `?` after which nothing is assigned belongs to a pattern.
_QUERY = re.compile(rf"({_SCHEME}{_PATH})\?(?=[\w.~%$\[\]-]+=){_INNER}{_END}")
#: Secret parameters of an address whose scheme and host were cut off, as libraries quote it.
_PARAMETER = re.compile(
    r"(?P<name>[?&](?:x-amz-[\w-]+|x-goog-[\w-]+|awsaccesskeyid|googleaccessid|key-pair-id|policy"
    r"|sig|signature|(?:\w*[_-])?(?:token|key|apikey|password|passwd|pwd|secret))=)[^\s&\"'<>*]+",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """`text` with `***` for the credentials of every URI in it.

    Hidden are user name and password, the query of a web address, any query of another URI that
    assigns something, and a fragment that does. Everything else stays to the letter.
    """
    if "://" in text:
        text = _USERINFO.sub(_without_user, text)
        for query in (_WEB_QUERY, _QUERY):
            text = query.sub(rf"\1?{HIDDEN}", text)
        text = _WEB_FRAGMENT.sub(rf"\1#{HIDDEN}", text)
    return _PARAMETER.sub(rf"\g<name>{HIDDEN}", text)


def _without_user(match: re.Match[str]) -> str:
    if not match["user"] or (match["scheme"] in CONTAINERS and ":" not in match["user"]):
        return match[0]
    return f"{match['scheme']}://{HIDDEN}@"


def hide_credentials_in_logs() -> None:
    """Redact every log record of this process, whichever library writes it."""
    make_record = logging.getLogRecordFactory()

    def make_redacted(*args: Any, **kwargs: Any) -> logging.LogRecord:
        return _redacted_record(make_record(*args, **kwargs))

    logging.setLogRecordFactory(make_redacted)


def _redacted_record(record: logging.LogRecord) -> logging.LogRecord:
    """A record with its message and the traceback of its error redacted."""
    try:
        message = record.getMessage()
    except (TypeError, ValueError):  # wrong arguments: logging reports them where it formats
        return record
    if (hidden := redacted(message)) != message:
        record.msg, record.args = hidden, None
    if record.exc_info and record.exc_info[1]:
        lines = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
        if (hidden := redacted(lines)) != lines:
            record.exc_text = hidden
    return record


def print_redacted(_kind: type[BaseException], error: BaseException, _traceback: Any) -> None:
    """A `sys.excepthook` that prints a traceback without credentials."""
    print(redacted("".join(traceback.format_exception(error))), end="", file=sys.stderr)
