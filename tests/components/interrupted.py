"""A training that is told to leave before its end, for the tests of what goes on afterwards."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from components.core.component import Component
from components.core.processes.preemption import Preempted


def leave(component: Component[Any, Any], inputs: Any, out: Path, after: int) -> int:
    """Train in `out` until SIGTERM, which comes after so many steps; return how many were done."""
    ledger = out / "ledger.jsonl"

    def num_steps() -> int:
        return ledger.read_bytes().count(b"\n") if ledger.exists() else 0

    def watch() -> None:
        while num_steps() < after:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=watch)
    thread.start()
    with pytest.raises(Preempted):
        component.run(inputs, out)
    thread.join()
    return num_steps()
