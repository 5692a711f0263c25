"""Stop process groups once nobody supervises them any more.

Runs as a process of its own, reads one group id a line, and at the end of its input stops the
groups, the last one first. The input ends when the supervisor closes it and also when the
supervisor is killed, so no server outlives it. PR_SET_PDEATHSIG would not do: it reaches a direct
child only, and MLflow serves from a grandchild.
"""

import os
import signal
import sys
import time

WAIT_SECONDS = 25.0  # a training under Ray ends within 15 s of its signal


def stop(group: int) -> None:
    """Ask a process group to end, and kill what is left of it after a while."""
    deadline = time.monotonic() + WAIT_SECONDS
    asked = _signal(group, signal.SIGTERM)
    while asked and time.monotonic() < deadline:
        time.sleep(0.1)
        asked = _signal(group, 0)
    if asked:
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    for line in reversed(sys.stdin.readlines()):
        stop(int(line))
