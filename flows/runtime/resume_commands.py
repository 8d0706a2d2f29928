"""The settings of a flow run -> the shell command that runs it again."""

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

from prefect.client.schemas.objects import FlowRun
from prefect.flows import Flow
from prefect.settings import PREFECT_API_URL
from pydantic import BaseModel
from pydantic_settings import CliPositionalArg

from flows.runtime import PROGRAM
from flows.runtime.local_stack.access import access_file, read_access
from flows.runtime.parameters import FlowParameters, flag_name
from tasks.core.redaction import HIDDEN, redacted
from tasks.reports.summary import environment, relative_path

MISSING = f"put the credentials where {HIDDEN} stands"
POSITIONAL = get_args(CliPositionalArg[str])[1]


def resume_command(flow: Flow[..., Any], flow_run: FlowRun) -> str:
    """The command that repeats a run: a retry in Prefect for a deployment, else in the terminal."""
    if flow_run.deployment_id:
        command = retry_command(str(flow_run.id))
    else:
        config = config_class(flow).model_validate(settings_of(flow_run))
        command = " ".join([*environment(), command_of(flow.name, config)])
    return f"{command}  # {MISSING}" if HIDDEN in command else command


def retry_command(flow_run_id: str) -> str:
    """The command with which Prefect retries the run of a deployment, on the server of this run.

    Address and password of the server of `make serve` are in a file, which the command sources. The
    path of the file is absolute, because a shell searches a bare name in `PATH`.
    """
    program = relative_path(Path(sys.executable).with_name("prefect"))
    command = shlex.join([str(program), "flow-run", "retry", flow_run_id])
    url = PREFECT_API_URL.value()
    if url and url == read_access().get(PREFECT_API_URL.name):
        return f". {shlex.quote(str(access_file()))} && {command}"
    return f"PREFECT_API_URL={shlex.quote(redacted(url))} {command}" if url else command


def settings_of(flow_run: FlowRun) -> dict[str, Any]:
    """The config of a run as plain values."""
    config = flow_run.parameters.get("config") or {}
    if isinstance(config, Mapping):
        return dict(config)
    return dict(config.model_dump(mode="json", by_alias=True))


def config_class(flow: Flow[..., Any]) -> type[FlowParameters]:
    """The model of a flow's parameter `config`."""
    config: type[FlowParameters] = get_type_hints(flow.fn)["config"]
    return config


def command_of(flow: str, config: FlowParameters) -> str:
    """The command that runs a flow with these settings; credentials are replaced by stars."""
    program = relative_path(Path(sys.executable).with_name(PROGRAM))
    words = [str(program), flow, *arguments(config)]
    return shlex.join(map(redacted, words))


def arguments(config: FlowParameters) -> list[str]:
    """The arguments of this config; values that equal the default or the preset are left out."""
    positional = positional_values(config)
    changed = config.explicit_settings.items()
    options = flags({name: value for name, value in changed if name not in positional})
    texts = [text for value in positional.values() for text in _texts(value)]
    separator = ["--"] if any(text.startswith("-") for text in texts) else []
    return [*options, *separator, *texts]


def positional_values(config: BaseModel) -> dict[str, Any]:
    """Values of the positional arguments, in order."""
    fields = type(config).model_fields.items()
    return {name: getattr(config, name) for name, field in fields if POSITIONAL in field.metadata}


def flags(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Nested settings as flags of the command line; a list of texts repeats its flag."""
    words = list[str]()
    for name, value in values.items():
        if isinstance(value, Mapping):
            words += flags(value, f"{prefix}{name}.")
        elif isinstance(value, bool):
            words.append(flag_name(f"{'' if value else 'no-'}{prefix}{name}"))
        else:
            words += [f"{flag_name(prefix + name)}={text}" for text in _texts(value)]
    return words


def _texts(value: Any) -> list[str]:
    """A value as arguments; a list whose items are not all texts is a single JSON argument."""
    if not isinstance(value, list | tuple):
        return ["null" if value is None else str(value)]
    if all(isinstance(item, str) for item in value):
        return list(value)
    return [json.dumps(value)]
