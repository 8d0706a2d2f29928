"""MLflow's registry -> the champion's model version and its tags, read without delay.

MLflow takes seconds to import, so its own SQLite database is queried directly; any other registry
is asked through MLflow. A registry that cannot be read is an error, never "no champion".
"""

import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from tasks.core.contracts import RegistryError, UnreachableError, UserError
from tasks.core.files import require_folder
from tasks.core.redaction import redacted
from tasks.core.storage import store

MODEL = "movie-recommender"
CHAMPION = "champion"
SQLITE = "sqlite:///"
DATABASE = "mlflow.db"
CONNECT_SECONDS = 3.0
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
#: How long a reader waits for MLflow's server, where the user has not said otherwise.
READER_LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
DAMAGED = ("malformed", "not a database", "file is encrypted")
#: What MLflow and its libraries say where nobody answers, or too late.
AWAY = ("max retries exceeded", "timed out", "timeout", "connection refused", "connection reset")
ALIAS_ROWS = """
    SELECT version, key, value FROM registered_model_aliases
    LEFT JOIN model_version_tags USING (name, version) WHERE name = ? AND alias = ?
"""


class TaggedVersion(NamedTuple):
    """A registered model version: its number and its tags."""

    version: str
    tags: dict[str, str]


def tracking_uri() -> str:
    """`MLFLOW_TRACKING_URI`, else the SQLite database under the artifacts root.

    Raises:
        UserError: the artifacts root is a file, or it is shared, and so the registry has to be.
    """
    require_folder(store.artifacts_root())
    if configured := os.environ.get("MLFLOW_TRACKING_URI"):
        return _without_login(configured)
    if store.remote_store():
        raise UserError(
            f"The artifacts are in {redacted(store.root_setting())}, which holds no database: "
            "name the MLflow server with MLFLOW_TRACKING_URI."
        )
    return f"{SQLITE}{store.artifacts_root() / DATABASE}"


def _without_login(uri: str) -> str:
    """A server's address without user name and password, which go to MLflow's own variables.

    MLflow quotes the address in its errors, and links to the server are made of it.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or parts.username is None:
        return uri
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def is_own_registry() -> bool:
    """Whether the registry is the database under the artifacts root.

    MLflow sets `MLFLOW_TRACKING_URI` by itself, so the variable alone does not tell.
    """
    return tracking_uri() == f"{SQLITE}{store.artifacts_root() / DATABASE}"


def sqlite_file() -> Path | None:
    """The registry's SQLite file, which may not exist yet; None for any other registry."""
    uri = tracking_uri()
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return Path(uri.removeprefix(SQLITE))
    if not uri.startswith("sqlite"):
        return None
    from sqlalchemy.engine import make_url  # a configured one may have a driver and a query

    database = make_url(uri).database
    return Path(database) if database else None


def champion_version() -> TaggedVersion | None:
    """The version that has the alias `champion` now; None where no version has it.

    Raises:
        RegistryError: the registry is damaged or cannot be reached.
    """
    file = sqlite_file()
    if file is None:
        return _from_mlflow(tracking_uri())
    if not file.is_file() or file.stat().st_size == 0:
        return None
    return _from_sqlite(file)


def _from_sqlite(file: Path) -> TaggedVersion | None:
    address = f"{file.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=30)) as database:
            rows = database.execute(ALIAS_ROWS, (MODEL, CHAMPION)).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):  # made, but nothing was registered yet
            return None
        return _from_mlflow(tracking_uri())  # it may recover what a killed writer left
    except sqlite3.DatabaseError as error:
        raise damaged_database(file, error) from error
    if not rows:
        return None
    return TaggedVersion(str(rows[0][0]), {key: value for _, key, value in rows if key})


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
    return TaggedVersion(str(version.version), dict(version.tags))


def _alias_is_missing(error: Exception) -> bool:
    code = getattr(error, "error_code", None)
    return code == "INVALID_PARAMETER_VALUE" and "alias" in str(error).lower()


def limit_client() -> None:
    """Let MLflow's HTTP client fail within seconds; what the user has set stays.

    For commands that answer a question. A run that writes may have to wait longer.
    """
    for name, value in READER_LIMITS.items():
        os.environ.setdefault(name, value)


def require_reachable(uri: str) -> None:
    """Raises RegistryError if nothing listens where a tracking URI leads, within seconds.

    MLflow's own clients would try for minutes.
    """
    parts = urlsplit(uri)
    scheme = parts.scheme.split("+")[0]
    direct = scheme in PORTS and parts.hostname and "unix_socket" not in parts.query
    if not direct or not parts.hostname or _goes_through_proxy(scheme, parts.hostname):
        return
    try:
        address = (parts.hostname, parts.port or PORTS[scheme])
    except ValueError:  # several hosts, which the client tries in turn
        return
    try:
        socket.create_connection(address, timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise unreachable(uri, error) from error


def _goes_through_proxy(scheme: str, host: str) -> bool:
    return bool({scheme, "all"} & getproxies().keys()) and not proxy_bypass(host)


def unreachable(uri: str, error: Exception) -> UnreachableError:
    """The error of a registry that does not answer."""
    return UnreachableError(
        f"MLflow does not answer at {redacted(uri)} ({type(error).__name__}): start it, or "
        "correct MLFLOW_TRACKING_URI."
    )


def refused(uri: str, error: Exception) -> RegistryError:
    """The error of a server that answers, but not with what it was asked for."""
    said = redacted(" ".join(str(error).split())[:300])
    return RegistryError(
        f"MLflow at {redacted(uri)} does not do what it is asked: {said} Check MLFLOW_TRACKING_URI "
        "and the login."
    )


def damaged_database(file: Path, error: BaseException) -> RegistryError:
    """The error of a database file that SQLite cannot read, with the way out."""
    return RegistryError(
        f"{file} is damaged ({error}). Restore it from a backup, or move it away "
        f"(mv '{file}' '{file}.damaged') and train again: the next run makes a new one."
    )


@contextmanager
def registry_errors(uri: str) -> Iterator[None]:
    """Turn what MLflow raises where its registry is damaged or away into one sentence.

    Raises:
        RegistryError: as `champion_version`.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        text = str(error).lower()
        file = sqlite_file()
        if file is not None and any(sign in text for sign in DAMAGED):
            raise damaged_database(file, _innermost(error)) from error
        if any(sign in text for sign in AWAY):
            raise unreachable(uri, error) from error
        if uri.startswith("http") and hasattr(error, "error_code"):
            raise refused(uri, error) from error
        raise


def _innermost(error: BaseException) -> BaseException:
    """The first cause of an error, whose text is the shortest."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return error


def require_sound_database() -> None:
    """Check the registry before a run relies on it.

    Raises:
        RegistryError: its server does not answer, or its SQLite file is damaged.
    """
    file = sqlite_file()
    if file is None:
        require_reachable(tracking_uri())
        return
    if not file.is_file() or file.stat().st_size == 0:
        return
    address = f"{file.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=30)) as database:
            (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:
        return  # locked, or a journal to be rolled back: MLflow opens it for writing
    except sqlite3.DatabaseError as error:
        raise damaged_database(file, error) from error
    if verdict != "ok":
        raise damaged_database(file, sqlite3.DatabaseError(verdict.splitlines()[0]))
