"""A server from its start to its end: loads the models, answers, and stops when it is told to."""

import logging
import resource
import sys
from pathlib import Path

import uvicorn
from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.servers.access import credentials, is_loopback
from components.core.settings import settings
from infra.ports import port_holder
from infra.serving.answer_log import Consent
from infra.serving.app import create_app
from infra.serving.connections import PatientProtocol
from infra.serving.found import wish
from infra.serving.keys import Keys, read_keys
from infra.serving.models import Models
from infra.serving.options import Limits
from infra.serving.service import Service
from infra.serving.shares import Share

logger = logging.getLogger(__name__)


class Serving(Frozen):
    """How a server is started."""

    models: tuple[str, ...]
    """What it serves: NAME, NAME@ALIAS, FOLDER or NAME=FOLDER; the first is the default."""
    port: int = Field(default_factory=lambda: settings().serving_port)
    """Where it listens."""
    keys: Path | None = None
    """File of the keys that let clients in; without one the password of BLOOMERY_AUTH is the key,
    and without that everybody on this machine is let in."""
    waits: bool = False
    """Whether it begins without any model, and serves each when it is released."""
    limits: Limits = Limits()
    """What requests may cost."""
    shares: tuple[Share, ...] = ()
    """Canaries and shadows."""
    consent: Consent = "none"
    """Whose answers are kept."""


def serve(serving: Serving) -> None:
    """Serve models until SIGTERM or Ctrl-C; answers that were begun are completed.

    Raises:
        ValueError: no model loads, the port is taken, or others could come in without a key.
    """
    host, keys = settings().host, _keys(serving.keys)
    if not is_loopback(host) and not len(keys):
        raise ValueError(
            f"BLOOMERY_HOST={host} lets other machines in: give a file of keys by --keys, or set "
            "BLOOMERY_AUTH, or leave BLOOMERY_HOST at 127.0.0.1."
        )
    if (holder := port_holder(serving.port)) is not None:
        raise ValueError(f"Port {serving.port} is taken by {holder}. End it, or give another.")
    _allow_many_connections()
    wishes = [wish(words) for words in serving.models]
    beside = [wish(each.served) for each in serving.shares]
    models = Models(wishes, serving.limits, beside)
    models.load(waits=serving.waits)
    service = Service(models, serving.limits, keys, serving.shares, serving.consent)
    try:
        server(service, host, serving.port).run()
    finally:
        service.close()


def _keys(file: Path | None) -> Keys:
    if file is not None:
        return read_keys(file)
    login = credentials()
    return Keys({login.user: login.password} if login else {})


def server(service: Service, host: str, port: int) -> uvicorn.Server:
    """Return the server of an application that answers for `service`."""
    limits = service.limits
    config = uvicorn.Config(
        create_app(service),
        host=host,
        port=port,
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        backlog=1024,
        timeout_keep_alive=max(1, int(limits.idle_seconds)),
        timeout_graceful_shutdown=30,
    )
    return uvicorn.Server(config)


def _allow_many_connections() -> None:
    """Raise the number of files that this process may have open as far as the system lets it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    serve(Serving(models=tuple(sys.argv[1:]), waits=True))
