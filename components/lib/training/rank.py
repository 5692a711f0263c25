"""One process of a training that torchrun started: no Ray, no MLflow, only what the loop needs.

    torchrun --nproc-per-node 8 -m components.lib.training.rank REQUEST.json

The request names a worker, `{"target": "package.module:function", "payload": {...}}`. If the work
fails, an answer is written next to it: an error that a user can fix, or the step it was preempted
after.
"""

import json
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from components.core.processes.driver import die_with_parent
from components.core.processes.preemption import Preempted
from components.core.processes.torchrun import COLLECTIVE_SECONDS, Answer, call
from components.lib.device import device


def main() -> None:
    """Join the group that torchrun describes in the environment, and do the work."""
    die_with_parent()
    file = Path(sys.argv[1])
    request = json.loads(file.read_text("utf-8"))
    if torch.cuda.is_available():
        torch.cuda.set_device(device())
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=timedelta(seconds=COLLECTIVE_SECONDS))
    try:
        call(request)
    except ValueError as error:
        Answer(error=str(error)).write(file)
        raise
    except Preempted as notice:
        Answer(preempted_after=notice.step).write(file)
        raise
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
