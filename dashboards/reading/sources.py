"""Where the dashboard reads: MLflow through its client, Prefect by REST."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import httpx

from components.core.servers.access import credentials
from components.core.servers.databases import hidden
from components.core.servers.endpoints import running_servers, tracking_uri
from components.core.settings import settings
from components.core.tracking.client import client

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PATIENCE_SECONDS = 4.0


class Unreachable(Exception):
    """A server did not answer; the message says which, where, and what to do."""


def mlflow_client() -> "MlflowClient":
    """Return a client of MLflow, once it is known to answer.

    Raises:
        Unreachable: it does not; MLflow's own client would try for minutes.
    """
    uri = tracking_uri()
    with _asking("MLflow", uri):
        if uri.startswith("http"):
            httpx.get(f"{uri}/health", timeout=_PATIENCE_SECONDS).raise_for_status()
        return _client(uri)


@cache
def _client(uri: str) -> "MlflowClient":
    return client()


@contextmanager
def reading_mlflow() -> "Generator[MlflowClient]":
    """Give a client of MLflow; all that goes wrong with it is `Unreachable`."""
    mlflow = mlflow_client()
    with _asking("MLflow", tracking_uri()):
        yield mlflow


def experiment(mlflow: "MlflowClient") -> list[str]:
    """Return the id of the experiment that runs are in, none before the first run."""
    found = mlflow.get_experiment_by_name(settings().experiment)
    return [] if found is None else [found.experiment_id]


def prefect_url() -> str:
    """Return the address of the Prefect server, without `/api`."""
    if api := os.environ.get("PREFECT_API_URL"):
        return api.removesuffix("/").removesuffix("/api")
    servers = running_servers()
    return servers.prefect if servers else f"http://127.0.0.1:{settings().prefect_port}"


def ask_prefect(path: str, body: dict[str, Any]) -> Any:
    """Return what the Prefect API answers to a query.

    Raises:
        Unreachable: nothing sensible.
    """
    url = prefect_url()
    auth = credentials()
    with _asking("Prefect", url):
        reply = httpx.post(f"{url}/api{path}", json=body, auth=auth, timeout=_PATIENCE_SECONDS)
        reply.raise_for_status()
        return reply.json()


@contextmanager
def _asking(name: str, where: str) -> Generator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (httpx.HTTPError, MlflowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        raise Unreachable(
            f"{name} at {hidden(where)} did not answer ({hidden(reason)}). Start the servers with "
            f"`bloomery up`; if they are up, their logs under {settings().home / 'logs'} say what "
            "is wrong."
        ) from error
