"""Address and password of the Prefect server that `make serve` starts: written, read, selected.

Both are in `stack.env` under the artifacts root, readable by its owner only, in a form that a shell
can source. The password is never part of a command line.
"""

import os
import re
import secrets
from io import StringIO
from pathlib import Path
from urllib.request import getproxies_environment

import httpx
from dotenv import dotenv_values
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL
from prefect.settings.legacy import Setting

from flows.runtime.listener import HOST
from tasks.core.files import PRIVATE, atomic_write
from tasks.core.storage import store

LOCAL_SERVER = f"http://{HOST}:4200/api"
USER = "recommender"
PASSWORD = re.compile(rf"{USER}:[\w-]{{43}}", re.ASCII)  # 32 random bytes


def access_file() -> Path:
    """Path of the file with address and password of the stack's Prefect server."""
    return store.artifacts_root() / "stack.env"


def write_access(api_url: str) -> dict[str, str]:
    """Write the server's address and password; an existing password is reused.

    Browsers therefore stay logged in after a restart of the stack.

    Returns:
        The environment variables of the file, for Prefect's programs.
    """
    password = read_access().get(PREFECT_API_AUTH_STRING.name, "")
    if not PASSWORD.fullmatch(password):  # no password, or a damaged one
        password = f"{USER}:{secrets.token_urlsafe(32)}"
    access = {PREFECT_API_URL.name: api_url, PREFECT_API_AUTH_STRING.name: password}
    lines = [f"export {name}={value}\n" for name, value in access.items()]
    with atomic_write(access_file(), PRIVATE) as new:
        new.write_text("".join(lines))
    return access


def read_access() -> dict[str, str]:
    """Variables of the access file by name; empty if the file is missing or cannot be read."""
    try:
        text = access_file().read_text(encoding="latin-1")  # damaged bytes are no error here
    except OSError:
        return {}
    variables = dotenv_values(stream=StringIO(text), interpolate=False)
    return {name: value for name, value in variables.items() if value}


def server_protection(port: int, password: str) -> dict[str, str]:
    """Settings of the server at `port` that keep other web pages from using its API."""
    origins = (f"http://{host}:{port}" for host in (HOST, "localhost"))
    return {
        "PREFECT_SERVER_API_AUTH_STRING": password,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(origins),
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
    }


def bypass_proxy() -> None:
    """Exclude this machine from the proxy of the environment, for this and all child processes.

    A proxy cannot reach a server on this machine, and must not receive its password.
    """
    proxies = getproxies_environment()
    if not proxies:
        return
    hosts = proxies.get("no", "").split(",")
    if HOST not in hosts:
        no_proxy = ",".join([*filter(None, hosts), HOST])
        os.environ.update(NO_PROXY=no_proxy, no_proxy=no_proxy)


def running_server() -> dict[Setting, str] | None:
    """Settings of the configured Prefect server, else of one that runs on this machine.

    The latter is the stack's server or that of `make prefect`. None if no server is running.
    """
    access = read_access()
    stack_url = access.get(PREFECT_API_URL.name, "")
    password = access.get(PREFECT_API_AUTH_STRING.name, "")
    configured = PREFECT_API_URL.value()
    if configured and (configured != stack_url or PREFECT_API_AUTH_STRING.value()):
        return {PREFECT_API_URL: str(configured)}
    if stack_url and (configured or _accepts(stack_url, password)):
        return {PREFECT_API_URL: stack_url, PREFECT_API_AUTH_STRING: password}
    if _accepts(LOCAL_SERVER, ""):
        return {PREFECT_API_URL: LOCAL_SERVER}
    return None


def _accepts(api_url: str, password: str) -> bool:
    user, _, secret = password.partition(":")
    try:
        return httpx.get(
            f"{api_url}/admin/version", auth=(user, secret), timeout=1, trust_env=False
        ).is_success
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
