"""Start a run on the worker by Prefect's REST API, as any program may: plain HTTP, no client."""

import os
import time
from typing import Any

from components.core.artifacts.base import Frozen
from components.core.servers.calls import Refused, call
from components.core.servers.endpoints import flow_run_url, named_api, running_servers

_LOOK_EVERY_SECONDS = 1.0
_AWAY_SECONDS = 180.0  # a server that is started again within this is waited for
_FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


class NothingIsUp(OSError):
    """No server to ask."""


class Triggered(Frozen):
    """A run that the server has accepted."""

    id: str
    """Id of the flow run."""
    name: str
    """Its name, such as `smoke-brave-otter`."""
    state: str
    """Name of its state."""
    kind: str
    """Type of its state, such as `SCHEDULED`."""
    message: str
    """What the state says."""
    url: str
    """Where people see it."""

    def __str__(self) -> str:
        """Return the line of the command."""
        said = f": {self.message}" if self.message else ""
        return f"{self.name}  {self.state}{said}\n{self.url}"

    def exit_code(self, waited: bool) -> int:
        """Return what the command ends with."""
        if not waited or self.kind == "COMPLETED":
            return 0
        return os.EX_TEMPFAIL if self.kind == "CANCELLED" else 1


def request(flow: str, recipe: str | None, changes: list[str], key: str | None) -> dict[str, Any]:
    """Return the body of `POST /api/deployments/{id}/create_flow_run`.

    Without a recipe and changes it has no parameters: the run gets those of the deployment, which
    are `tiny` until people save others in the UI.

    Raises:
        ValueError: the recipe or a change is wrong.
    """
    from flows.command.running import FLOWS
    from flows.parameters import DEFAULT, described, wanted

    body: dict[str, Any] = {"idempotency_key": key} if key else {}
    if recipe is not None or changes:
        if flow in FLOWS:  # of any other the server says what it takes
            wanted(flow, recipe or DEFAULT, changes)
        body["parameters"] = described(flow, recipe or DEFAULT, changes)
    return body


def start(flow: str, body: dict[str, Any]) -> Triggered:
    """Create the run.

    Raises:
        ValueError: there is no such flow, or the server refuses its parameters.
        NothingIsUp: no server answers.
    """
    api = _api()
    try:
        deployment = call(f"{api}/deployments/name/{flow}/{flow}")
        named = {"name": _name(deployment, body), **body}
        run = call(f"{api}/deployments/{deployment['id']}/create_flow_run", named)
    except Refused as error:
        if error.status == 404:
            known = ", ".join(sorted(each["name"] for each in _deployments(api)))
            raise ValueError(f"No flow {flow!r} is deployed. There are: {known}.") from error
        raise ValueError(f"The server refuses the run: {error}") from error
    except OSError as error:
        raise NothingIsUp(f"{error}. Start the servers with `bloomery up`.") from error
    return _triggered(run)


def _name(deployment: dict[str, Any], body: dict[str, Any]) -> str:
    """Return the name that the run would give itself once it begins."""
    from prefect.utilities.names import generate_slug

    from flows.parameters import DEFAULT, label

    given = {**deployment["parameters"], **body.get("parameters", {})}
    name = generate_slug(2)
    takes_recipe = "recipe" in deployment["parameter_openapi_schema"].get("properties", {})
    return f"{label(given.get('recipe', DEFAULT))}-{name}" if takes_recipe else name


def wait(run: Triggered) -> Triggered:
    """Return the run at its end; a server that is away for a while is waited for.

    Raises:
        NothingIsUp: it stays away.
    """
    api, seen = _api(), time.monotonic()
    while run.kind not in _FINAL:
        time.sleep(_LOOK_EVERY_SECONDS)
        try:
            run = _triggered(call(f"{api}/flow_runs/{run.id}"))
            seen = time.monotonic()
        except OSError as error:
            if time.monotonic() > seen + _AWAY_SECONDS:
                raise NothingIsUp(f"{error}. The run goes on: {run.url}") from error
    return run


def _triggered(run: dict[str, Any]) -> Triggered:
    state = run["state"]
    return Triggered(
        id=run["id"],
        name=run["name"],
        state=state["name"],
        kind=state["type"],
        message=state["message"] or "",
        url=flow_run_url(run["id"]),
    )


def _deployments(api: str) -> list[dict[str, Any]]:
    return call(f"{api}/deployments/filter", {})


def _api() -> str:
    """Return the API of the running servers, else the one that PREFECT_API_URL names."""
    if (servers := running_servers()) is not None:
        return f"{servers.prefect}/api"
    try:
        named = named_api()
    except ValueError as error:
        raise NothingIsUp(str(error)) from None
    if named is not None:
        return named
    raise NothingIsUp("No servers are up. Start them with `bloomery up`.")
