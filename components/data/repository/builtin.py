"""The built-in sources of `data/`: made from packages and a seed, the same bytes each time.

They let everything run on a machine that can reach nothing, and `data.dvc` pins their hash.
"""

import logging
from pathlib import Path

from components.data.document import write_documents, write_lines
from components.data.repository import library, speeches
from components.lib.tasks.microtasks import Split, generate, split_of

NAMES = ("speeches", "library", "instructions", "preferences")
"""The folders of `data/` that are built; no user data can take their names."""

SEED = 1790
NUM_MICROTASKS = 30_000

_FILE_OF: dict[Split, str] = {
    "train": "instructions/train.jsonl",
    "validation": "instructions/validation.jsonl",
    "test": "instructions/test.jsonl",
    "preference": "preferences/prompts.jsonl",
}

log = logging.getLogger(__name__)


def build(data: Path) -> None:
    """Write `{speeches,library}/documents.jsonl` and the micro-tasks, one file a split."""
    for name, source in (("speeches", speeches), ("library", library)):
        count = write_documents(data / name / "documents.jsonl", source.documents())
        log.info("%s: %d documents", name, count)
    microtasks = generate(SEED, NUM_MICROTASKS)
    for split, file in _FILE_OF.items():
        rows = (task.model_dump() for task in microtasks if split_of(task) == split)
        log.info("%s: %d micro-tasks", file, write_lines(data / file, rows))
