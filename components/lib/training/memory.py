"""What to do when a micro-batch does not fit into memory: once, take half."""

import json
import logging
from pathlib import Path

import torch

from components.core.files import write_json
from components.lib.training.meter import peak_memory

logger = logging.getLogger(__name__)

_FILE = ".micro_batch.json"


class MicroBatch:
    """The examples that one process computes at once, halved for good when memory runs out."""

    def __init__(self, out: Path, size: int) -> None:
        """Take `size`, or the half that an earlier attempt had to take."""
        self._file = out / _FILE
        self._is_halved = self._file.exists()
        self.size = json.loads(self._file.read_text("utf-8")) if self._is_halved else size

    def halve(self, num_examples: int) -> None:
        """Take half of what was computed at once, of `num_examples`; the batch stays what it is.

        Raises:
            RuntimeError: that was done before, or a single example does not fit.
        """
        before = min(self.size, num_examples)
        if self._is_halved or before == 1:
            raise RuntimeError(
                f"{before} examples at once do not fit into memory ({peak_memory() / 1e9:.1f} GB "
                "at most so far). Lower micro_batch_size or sequence_length, or set "
                "BLOOMERY_ACTIVATION_CHECKPOINTING=true."
            )
        self._is_halved = True
        self.size = before // 2
        write_json(self._file, self.size)
        logger.warning("out of memory: %d examples at once instead of %d", self.size, before)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether `error` says that memory ran out, on a GPU or on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
