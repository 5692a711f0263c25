"""One process of a training that torchrun started: no Ray, no MLflow, only what the loop needs.

    torchrun --nproc-per-node 8 -m components.lib.training.rank CALL.json

The file is a `Call`, `{"target": "package.module:function", "payload": {...}}`. Beside it each rank
that does not come to its end writes its outcome.
"""

import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from components.core.processes.call import Call, Done, raise_unless_done
from components.core.processes.driver import die_with_parent
from components.core.processes.torchrun import (
    COLLECTIVE_SECONDS,
    perform_in_group,
    write_outcome,
)
from components.lib.device import device


def main() -> None:
    """Join the group that torchrun describes in the environment, and do the work."""
    die_with_parent()
    file = Path(sys.argv[1])
    call = Call.model_validate_json(file.read_text("utf-8"))
    if torch.cuda.is_available():
        torch.cuda.set_device(device())
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=timedelta(seconds=COLLECTIVE_SECONDS))
    try:
        outcome = perform_in_group(call)
        if not isinstance(outcome, Done):
            write_outcome(outcome, file)
    finally:
        dist.destroy_process_group()
    raise_unless_done(outcome)  # so that torchrun ends the others


if __name__ == "__main__":
    main()
