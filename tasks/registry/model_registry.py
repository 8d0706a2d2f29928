"""MLflow's model registry -> the champion's version and its tags, read fast.

MLflow takes seconds to import. A SQLite registry is therefore queried directly; other registries
are read through MLflow. A registry that cannot be read raises an error, it never counts as empty.
"""

import json
import os
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from tasks.core.contracts import RegistryError, UnreachableError, UserError
from tasks.core.files import require_folder
from tasks.core.redaction import redacted
from tasks.core.storage import store

EXPERIMENT = "movie-recommender"
MODEL = "movie-recommender"
CHAMPION = "champion"
FLOW_RUN_TAG = "prefect.flow_run_id"  # tag of a run
UNPACKED = ("index_tag", "run_id")  # tags of a version
RECORD = "record"  # tag of a version: the tags that only programs read, as JSON
SQLITE = "sqlite:///"
DATABASE = "mlflow.db"
CONNECT_SECONDS = 3.0
SQLITE_SECONDS = 30  # to wait for the lock of a writer
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
#: Limits of MLflow's HTTP client in commands that only read; variables set by the user win.
READER_LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
#: Parts of SQLite's messages about a damaged file.
DAMAGED = ("malformed", "not a database", "file is encrypted")
#: Parts of the messages of MLflow and its libraries about a server that does not respond in time.
UNREACHABLE = (
    "max retries exceeded",
    "timed out",
    "timeout",
    "connection refused",
    "connection reset",
)
ALIAS_ROWS = """
    SELECT version, creation_time, key, value FROM registered_model_aliases
    LEFT JOIN model_versions USING (name, version)
    LEFT JOIN model_version_tags USING (name, version) WHERE name = ? AND alias = ?
"""


class TaggedVersion(NamedTuple):
    """A registered model version: its number, its unpacked tags, and when it was registered."""

    version: str
    tags: dict[str, str]
    registered: datetime | None = None


def pack_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags that only programs read as one tag: MLflow shows each tag of a version in its tables.

    `UNPACKED` stay: without them, an earlier release would take the version's index for unused.
    """
    record = {name: value for name, value in tags.items() if name not in UNPACKED}
    return {RECORD: json.dumps(record)} | {name: tags[name] for name in UNPACKED}


def unpack_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """All tags of a version by their names; earlier releases did not pack them.

    A tag that was set later counts more than a packed one.
    """
    packed: dict[str, str] = json.loads(tags.get(RECORD, "{}"))
    return packed | {name: value for name, value in tags.items() if name != RECORD}


def tracking_uri() -> str:
    """`MLFLOW_TRACKING_URI`, by default the SQLite database under the artifacts root.

    Raises:
        UserError: the artifacts root is a file, or a bucket, which needs an MLflow server.
    """
    require_folder(store.artifacts_root())
    if configured := os.environ.get("MLFLOW_TRACKING_URI"):
        return _without_login(configured)
    if store.remote_store():
        raise UserError(
            f"The artifacts are in {redacted(store.root_setting())}, which cannot hold a database. "
            "Set MLFLOW_TRACKING_URI to the address of an MLflow server."
        )
    return f"{SQLITE}{store.artifacts_root() / DATABASE}"


def _without_login(uri: str) -> str:
    """A server's address without user name and password, which move to MLflow's variables.

    MLflow prints the address in its errors, and links to the server contain it.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or parts.username is None:
        return uri
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def is_root_database() -> bool:
    """Whether the registry is the SQLite database under the artifacts root.

    The URI is compared, since MLflow also sets `MLFLOW_TRACKING_URI` itself.
    """
    return tracking_uri() == f"{SQLITE}{store.artifacts_root() / DATABASE}"


def sqlite_file() -> Path | None:
    """The registry's SQLite file, which may not exist yet; None for a registry of another kind."""
    uri = tracking_uri()
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return Path(uri.removeprefix(SQLITE))
    if not uri.startswith("sqlite"):
        return None
    from sqlalchemy.engine import make_url  # the URI may name a driver and have a query

    database = make_url(uri).database
    return Path(database) if database else None


def champion_version() -> TaggedVersion | None:
    """The version with the alias `champion`; None if no version has it.

    Raises:
        RegistryError: the registry is damaged or cannot be reached.
    """
    file = sqlite_file()
    if file is None:
        return _from_mlflow(tracking_uri())
    if not _has_content(file):
        return None
    return _from_sqlite(file)


def _has_content(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def _connect_read_only(file: Path) -> sqlite3.Connection:
    address = f"{file.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(address, uri=True, timeout=SQLITE_SECONDS)


def _from_sqlite(file: Path) -> TaggedVersion | None:
    try:
        with closing(_connect_read_only(file)) as database:
            rows = database.execute(ALIAS_ROWS, (MODEL, CHAMPION)).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):  # nothing was registered yet
            return None
        return _from_mlflow(tracking_uri())  # MLflow can roll back the journal of a killed writer
    except sqlite3.DatabaseError as error:
        raise damaged_error(file, error) from error
    if not rows:
        return None
    number, milliseconds = rows[0][:2]
    tags = unpack_tags({key: value for *_, key, value in rows if key})
    return TaggedVersion(str(number), tags, _date(milliseconds))


def _from_mlflow(uri: str) -> TaggedVersion | None:
    require_reachable(uri)
    import mlflow

    with registry_errors(uri):
        try:
            version = mlflow.MlflowClient(uri).get_model_version_by_alias(MODEL, CHAMPION)
        except mlflow.exceptions.MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST" or _alias_is_missing(error):
                return None
            raise
    return TaggedVersion(
        str(version.version), unpack_tags(version.tags), _date(version.creation_timestamp)
    )


def _date(milliseconds: int | None) -> datetime | None:
    """MLflow's milliseconds since 1970 as a date in UTC."""
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _alias_is_missing(error: Exception) -> bool:
    code = getattr(error, "error_code", None)
    return code == "INVALID_PARAMETER_VALUE" and "alias" in str(error).lower()


def limit_client() -> None:
    """Let MLflow's HTTP client fail within seconds, unless the user has set limits.

    For commands that only read; runs that write keep MLflow's longer limits.
    """
    for name, value in READER_LIMITS.items():
        os.environ.setdefault(name, value)


def require_reachable(uri: str) -> None:
    """Check within seconds that a server listens at a tracking URI; MLflow would try for minutes.

    Nothing is checked for files, behind a proxy, or with several hosts in the URI.

    Raises:
        UnreachableError: nothing listens there.
    """
    parts = urlsplit(uri)
    scheme = parts.scheme.split("+")[0]
    direct = scheme in PORTS and parts.hostname and "unix_socket" not in parts.query
    if not direct or not parts.hostname or _goes_through_proxy(scheme, parts.hostname):
        return
    try:
        address = (parts.hostname, parts.port or PORTS[scheme])
    except ValueError:  # several hosts; the database client tries them in turn
        return
    try:
        socket.create_connection(address, timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise unreachable_error(uri, error) from error


def _goes_through_proxy(scheme: str, host: str) -> bool:
    return bool({scheme, "all"} & getproxies().keys()) and not proxy_bypass(host)


def unreachable_error(uri: str, error: Exception) -> UnreachableError:
    """The error for a registry that does not respond."""
    return UnreachableError(
        f"MLflow does not answer at {redacted(uri)} ({type(error).__name__}): start it, or "
        "correct MLFLOW_TRACKING_URI."
    )


def rejected_error(uri: str, error: Exception) -> RegistryError:
    """The error for a server that answers a request with an error."""
    message = redacted(" ".join(str(error).split())[:300])
    return RegistryError(
        f"MLflow at {redacted(uri)} answered with an error: {message} Check MLFLOW_TRACKING_URI "
        "and the login."
    )


def damaged_error(file: Path, error: BaseException) -> RegistryError:
    """The error for a database file that SQLite cannot read, with two remedies."""
    return RegistryError(
        f"{file} is damaged ({error}). Restore it from a backup, or move it away "
        f"(mv '{file}' '{file}.damaged') and train again: the next run creates a new one."
    )


@contextmanager
def registry_errors(uri: str) -> Iterator[None]:
    """Replace MLflow's errors about a damaged or unreachable registry by one sentence.

    Raises:
        RegistryError: the registry is damaged, cannot be reached, or answered with an error.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        text = str(error).lower()
        file = sqlite_file()
        if file is not None and any(sign in text for sign in DAMAGED):
            raise damaged_error(file, _innermost(error)) from error
        if any(sign in text for sign in UNREACHABLE):
            raise unreachable_error(uri, error) from error
        if uri.startswith("http") and hasattr(error, "error_code"):
            raise rejected_error(uri, error) from error
        raise


def _innermost(error: BaseException) -> BaseException:
    """The original cause of an error; its message is the shortest."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return error


def require_intact_database() -> None:
    """Check the registry at the start of a run.

    Raises:
        RegistryError: its server does not answer, or its SQLite file is damaged.
    """
    file = sqlite_file()
    if file is None:
        require_reachable(tracking_uri())
        return
    if not _has_content(file):
        return
    try:
        with closing(_connect_read_only(file)) as database:
            (report,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:
        return  # locked, or with a journal to roll back: MLflow opens it for writing
    except sqlite3.DatabaseError as error:
        raise damaged_error(file, error) from error
    if report != "ok":
        raise damaged_error(file, sqlite3.DatabaseError(report.splitlines()[0]))
