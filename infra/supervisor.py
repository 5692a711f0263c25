"""Processes that are started, watched, started again when they die, and stopped together."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from infra.janitor import kill_group
from infra.services import CHECKOUT, Service

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE_SECONDS = 600.0  # a first start makes two databases: minutes on cores that others use
_ASK_EVERY_SECONDS = 10.0
_SILENCE_SECONDS = 120.0  # a busy machine may keep a server from answering for long
_LONGEST_PAUSE_SECONDS = 30.0
_STEADY_SECONDS = 60.0  # who ran that long is started again at once


class Process:
    """A service and its process at present."""

    def __init__(self, service: Service, launch: Callable[[], "subprocess.Popen[bytes]"]) -> None:
        """Start it."""
        self.service = service
        self.state = "starting"
        self.num_restarts = 0
        self._launch = launch
        self._pause = 1.0
        self._next = 0.0
        self._start()

    def _start(self) -> None:
        self.popen = self._launch()
        self._started = self._asked = self._answered = time.monotonic()

    def ask(self) -> bool:
        """Return whether it answers, and note that."""
        self._asked = time.monotonic()
        if self.service.is_ready():
            self._answered, self.state = time.monotonic(), "up"
        elif self.state == "up":
            self.state = "silent"
        return self.state == "up"

    def attend(self) -> str | None:
        """Start it again if it died or went silent; return what happened, if something did."""
        now = time.monotonic()
        if self.state == "down":
            if now < self._next:
                return None
            self.num_restarts += 1
            self._start()
            self.state = "starting"
            return f"{self.service.name} starts again"
        if (code := self.popen.poll()) is not None:
            return self._wait(f"ended with code {code}")
        if self.state != "up" or now > self._asked + _ASK_EVERY_SECONDS:
            before = self.state
            if self.ask() and before != "up":
                return f"{self.service.name} is up"
            if before == "up" and self.state == "silent":
                return f"{self.service.name} does not answer just now"
        if now > self._answered + _SILENCE_SECONDS:
            return self._wait("does not answer")
        return None

    def _wait(self, what: str) -> str:
        """Have it started again, the sooner the longer it has run; what it left goes first."""
        kill_group(self.popen.pid)
        self.popen.wait()
        steady = time.monotonic() > self._started + _STEADY_SECONDS
        self._pause = 1.0 if steady else min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        self._next, self.state = time.monotonic() + self._pause, "down"
        return f"{self.service.name} {what} and starts again in {self._pause:.0f} s"


class Supervisor:
    """Starts services in one environment, and has them stopped however this process ends."""

    def __init__(self, environment: dict[str, str], logs: Path, leaders: IO[str]) -> None:
        """`leaders` is where the janitor reads who is to be stopped."""
        self.processes = list[Process]()
        self._environment = environment
        self._logs = logs
        self._leaders = leaders

    def start(self, service: Service) -> Process:
        """Start a service; it is watched from now on."""
        process = Process(service, lambda: self._launch(service))
        self.processes.append(process)
        return process

    def wait(self, process: Process, until: Callable[[], bool] | None = None) -> None:
        """Return once it answers, or else once something is so that it does.

        Raises:
            OSError: it ends instead, or takes too long.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not (until or process.ask)():
            if process.popen.poll() is not None or time.monotonic() > deadline:
                raise self._broken(process)
            time.sleep(0.1)

    def attend(self) -> list[str]:
        """Look after every service once; return what happened."""
        happened = list[str]()
        for process in self.processes:
            if (event := process.attend()) is not None:
                happened.append(event)
                if process.state == "down":
                    self._note(process.service, pid=0)
        return happened

    def _note(self, service: Service, pid: int) -> None:
        self._leaders.write(f"{service.name} {pid}\n")
        self._leaders.flush()

    def _launch(self, service: Service) -> "subprocess.Popen[bytes]":
        with (self._logs / f"{service.name}.log").open("ab") as stream:
            popen = subprocess.Popen(
                [sys.executable, *service.command],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=CHECKOUT,
                env=self._environment,
                start_new_session=True,
            )
        self._note(service, popen.pid)
        return popen

    def _broken(self, process: Process) -> OSError:
        code, log = process.popen.poll(), self._logs / f"{process.service.name}.log"
        what = "did not become ready" if code is None else f"ended with code {code}"
        tail = "\n".join(log.read_text("utf-8", "replace").splitlines()[-15:])
        return OSError(f"{process.service.name} {what}. The end of {log}:\n{tail}")


@contextmanager
def supervised(environment: dict[str, str], home: Path) -> Generator[Supervisor]:
    """Give a supervisor whose services are all stopped, last first, at the end.

    A janitor stops them, in a session of its own, so that they are also stopped if this process
    is killed.
    """
    (home / "logs").mkdir(exist_ok=True)
    janitor = subprocess.Popen(
        [sys.executable, "-I", str(Path(__file__).with_name("janitor.py")), str(home)],
        stdin=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert janitor.stdin is not None
    supervisor = Supervisor(environment, home / "logs", janitor.stdin)
    try:
        yield supervisor
    finally:
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C does not stop the stopping
        janitor.stdin.close()
        while janitor.poll() is None:
            for process in supervisor.processes:
                process.popen.poll()  # a process that nobody waits for never goes away
            time.sleep(0.1)
