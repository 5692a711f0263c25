"""The Prefect server of one `bloomery run` where none is up: started by the run, ended with it.

Prefect would start one by itself, in the process group of the run: a signal to the group, as from
`timeout`, systemd, Slurm and Ctrl-C, then ends the server first, and the run asks it for minutes.
Prefect also gives up after a fixed time, which a busy machine passes. This one has a session of its
own, dies with the run however that ends, and is waited for as long as it makes progress.

    python -m flows.command.temporary_server FD PARENT    # what `start` runs
"""

import atexit
import gc
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from components.core.processes.driver import die_with_parent
from components.core.servers.calls import answer
from components.core.settings import settings

logger = logging.getLogger(__name__)

_STALLED_SECONDS = 90.0  # without using a processor or a disk
_PATIENCE_SECONDS = 1800.0
_SAY_AFTER_SECONDS, _SAY_EVERY_SECONDS = 20.0, 30.0
_STOP_SECONDS = 5.0
_ROLE = {
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",  # only the services that a single run needs
    "PREFECT__SERVER_FINAL": "1",
    "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "false",  # no browser comes here
}


def start(environment: dict[str, str], meanwhile: Callable[[], None] = lambda: None) -> str:
    """Start a server that ends with this process, and return the URL of its API once it answers.

    `environment` is what it alone is told; `meanwhile` is done while it starts.

    Raises:
        OSError: it ended, or does nothing any more; the message has the end of its log.
    """
    log = settings().home.resolve() / "logs" / "temporary_server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as listening:  # no other can take the port
        port = listening.getsockname()[1]
        server = _launch(listening.fileno(), log, environment)
    atexit.register(_stop, server)
    meanwhile()
    url = f"http://127.0.0.1:{port}/api"
    _wait(server, url, log)
    return url


def _launch(descriptor: int, log: Path, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    outside = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"}
    with log.open("wb") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", __name__, str(descriptor), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            pass_fds=(descriptor,),
            start_new_session=True,
            env={
                **outside,
                **_ROLE,
                **environment,
                "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
            },
        )


def _wait(server: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    process = psutil.Process(server.pid)
    began = moved = time.monotonic()
    done, say_at = 0.0, _SAY_AFTER_SECONDS
    while answer(f"{url}/health") is None:
        now = time.monotonic()
        if (work := _work(process)) > done:
            done, moved = work, now
        if server.poll() is not None:
            raise OSError(_broken(f"ended with code {server.returncode}", log))
        if now > moved + _STALLED_SECONDS or now > began + _PATIENCE_SECONDS:
            raise OSError(_broken(f"does not answer after {now - began:.0f} s", log))
        if now > began + say_at:
            said = "The machine is busy: Prefect's temporary server still starts, after %.0f s."
            logger.warning(said, now - began)
            say_at += _SAY_EVERY_SECONDS
        time.sleep(0.1)


def _work(process: psutil.Process) -> float:
    """Return how much a process has done: seconds of a processor, and calls to read or write."""
    try:
        used, files = process.cpu_times(), process.io_counters()
    except psutil.Error:
        return 0.0
    return round(used.user + used.system, 1) + files.read_count + files.write_count


def _broken(what: str, log: Path) -> str:
    tail = "\n".join(log.read_text("utf-8", "replace").splitlines()[-15:])
    return (
        f"Prefect's temporary server {what}. Run the same command again, or start the servers with "
        f"`bloomery up`. The end of {log}:\n{tail}"
    )


def _stop(server: "subprocess.Popen[bytes]") -> None:
    """End it after all that the run had to tell it."""
    server.terminate()
    try:
        server.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _serve(descriptor: int, parent: int) -> None:
    """Serve on an open socket until told to end, or until the run is dead."""
    die_with_parent()
    if os.getppid() != parent:  # it died before that was asked for
        return
    gc.disable()  # a sixth of the imports' time goes to it
    import uvicorn
    from prefect.server.api.server import create_app

    gc.freeze()
    gc.enable()
    config = uvicorn.Config(create_app, factory=True, log_level="error", lifespan="on")
    uvicorn.Server(config).run([socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
