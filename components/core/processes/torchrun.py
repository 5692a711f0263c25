"""One process of a group, and a group of processes on this machine that torchrun starts."""

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

from components.core.files import write_atomically
from components.core.lease import OWNER
from components.core.processes import preemption
from components.core.processes.call import (
    Call,
    Failed,
    Outcome,
    PreemptedAfter,
    outcome_of,
    perform,
    raise_unless_done,
)
from components.core.processes.driver import die_with_parent
from components.core.settings import settings

logger = logging.getLogger(__name__)

COLLECTIVE_SECONDS = 100  # a rank that hangs is found by then: the others give up
NUM_RESTARTS = 3
NOTICE = ".preempt"  # in the output folder, which workers on every machine see
BEGUN = ".begun"  # beside it, once a worker is at work
_LOOK_EVERY_SECONDS = 0.5
_RANK = "components.lib.training.rank"


def perform_in_group(call: Call) -> Outcome:
    """Do the work of one process of a group, which leaves when the whole group is told to."""
    notice = Path(call.payload["out"]) / NOTICE
    if notice.exists():  # it came while the group started
        return PreemptedAfter(step=preemption.saved_step(notice.parent))
    notice.with_name(BEGUN).touch()
    threading.Thread(target=_pass_on, args=(notice,), daemon=True).start()
    return perform(call)


def _pass_on(notice: Path) -> None:
    """Ask this worker to leave once the notice is there."""
    while not notice.exists():
        time.sleep(_LOOK_EVERY_SECONDS)
    preemption.request()


def write_outcome(outcome: Outcome, request: Path) -> None:
    """Write beside the request of a group how one of its processes ended."""
    file = request.with_name(f"outcome_{os.environ['RANK']}.json")
    write_atomically(file, outcome.model_dump_json())


def torchrun(payload: dict[str, Any]) -> None:
    """Do a call on a group that torchrun starts; runs in the driver process."""
    os.environ[OWNER] = uuid.uuid4().hex
    call = Call.model_validate(payload)
    for num_left in reversed(range(NUM_RESTARTS + 1)):
        with tempfile.TemporaryDirectory(prefix="bloomery-") as folder:
            code, outcome = _run_group(call, Path(folder))
        if code == 0:
            return
        if num_left == 0 or not isinstance(outcome, Failed):
            raise_unless_done(outcome)
        logger.warning("torchrun ended with code %d; %d restarts left", code, num_left)


def _run_group(call: Call, folder: Path) -> tuple[int, Outcome]:
    """Run one group and return torchrun's exit status and what the group has to say."""
    request = folder / "call.json"
    request.write_text(call.model_dump_json(), encoding="utf-8")
    group = ["--standalone", f"--nproc-per-node={settings().num_workers}"]
    command = [sys.executable, "-m", "torch.distributed.run", *group, "-m", _RANK, str(request)]
    code = subprocess.run(command, check=False, preexec_fn=die_with_parent).returncode
    files = sorted(folder.glob("outcome_*.json"), key=lambda file: file.stat().st_mtime_ns)
    outcomes = [outcome_of(file.read_text("utf-8")) for file in files]
    said = [*(each for each in outcomes if not isinstance(each, Failed)), *outcomes]
    return code, said[0] if said else Failed(reason=f"torchrun ended with code {code}.")
