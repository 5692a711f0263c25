"""One process of a group, and a group of processes on this machine that torchrun starts."""

import importlib
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from components.core.artifacts.base import Frozen
from components.core.files import write_json
from components.core.lease import OWNER
from components.core.processes import preemption
from components.core.processes.driver import die_with_parent
from components.core.processes.preemption import Preempted
from components.core.settings import settings

logger = logging.getLogger(__name__)

COLLECTIVE_SECONDS = 100  # a rank that hangs is found by then: the others give up
NUM_RESTARTS = 3
NOTICE = ".preempt"  # in the output folder, which workers on every machine see
_LOOK_EVERY_SECONDS = 0.5
_RANK = "components.lib.training.rank"
_ANSWER = "answer.json"


def call(request: dict[str, Any]) -> None:
    """Do the work of one process of a group; it leaves when the whole group is told to."""
    module, function = request["target"].split(":")
    notice = Path(request["payload"]["out"]) / NOTICE
    threading.Thread(target=_pass_on, args=(notice,), daemon=True).start()
    try:
        getattr(importlib.import_module(module), function)(request["payload"])
    except ValueError as error:
        raise ValueError(str(error)) from error  # of a class that every process can unpickle


def _pass_on(notice: Path) -> None:
    """Ask this worker to leave once the notice is there."""
    while not notice.exists():
        time.sleep(_LOOK_EVERY_SECONDS)
    preemption.request()


class Answer(Frozen):
    """What a group that torchrun started has to say beside its exit status."""

    error: str | None = None
    """What a user can mend."""
    preempted_after: int | None = None
    """The step that was saved before the group left."""

    def write(self, request: Path) -> None:
        """Write it beside the request."""
        write_json(request.with_name(_ANSWER), self.model_dump())


def torchrun(request: dict[str, Any]) -> None:
    """Run the target on a group that torchrun starts; runs in the driver process."""
    os.environ[OWNER] = uuid.uuid4().hex
    with tempfile.TemporaryDirectory(prefix="bloomery-") as folder:
        file = Path(folder) / "request.json"
        write_json(file, request)
        group = ["--standalone", f"--nproc-per-node={settings().num_workers}"]
        command = [sys.executable, "-m", "torch.distributed.run", *group, "-m", _RANK, str(file)]
        for num_left in reversed(range(NUM_RESTARTS + 1)):
            code = subprocess.run(command, check=False, preexec_fn=die_with_parent).returncode
            if code == 0:
                return
            _raise_answer(file.with_name(_ANSWER))
            if num_left == 0:
                raise RuntimeError(f"torchrun ended with code {code}.")
            logger.warning("torchrun ended with code %d; %d restarts left", code, num_left)


def _raise_answer(file: Path) -> None:
    if not file.exists():
        return
    answer = Answer.model_validate_json(file.read_text("utf-8"))
    if answer.preempted_after is not None:
        raise Preempted(answer.preempted_after)
    raise ValueError(answer.error)
