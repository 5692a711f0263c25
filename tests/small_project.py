"""A project with little data: what takes the built-in data half a minute takes seconds here."""

import shutil
from itertools import islice
from pathlib import Path

from components.data.document import write_documents, write_lines
from components.data.repository import library, speeches
from components.data.repository.objects import digest, files_in
from components.lib.tasks import microtasks

_CHECKOUT = Path(__file__).resolve().parents[1]
_DOCUMENTS = 12  # of each source
_ENOUGH_TO_RUN = 24  # with these, each split of the recipe `smoke` has some addresses


def make_to_run(project: Path) -> Path:
    """Write a project that the recipe `smoke` can run in, which reads the addresses alone."""
    return make(project, _ENOUGH_TO_RUN)


def make(project: Path, num_documents: int = _DOCUMENTS) -> Path:
    """Write a project as git has one, with `data/` beside its pin, and return its folder."""
    (project / ".dvc").mkdir(parents=True)
    for name in (".dvcignore", ".dvc/config"):
        shutil.copy(_CHECKOUT / name, project / name)
    write_data(project / "data", num_documents)
    pin(project)
    return project


def pin(project: Path) -> None:
    """Let data.dvc name `data/` as it is now."""
    sizes = [file.stat().st_size for file in files_in(project / "data")]
    listed = f"- md5: {digest(project / 'data')}\n  size: {sum(sizes)}\n  nfiles: {len(sizes)}\n"
    text = f"outs:\n{listed}  hash: md5\n  path: data\n"
    (project / "data.dvc").write_text(text, encoding="utf-8")


def write_data(folder: Path, num_documents: int = _DOCUMENTS) -> None:
    """Write some addresses, as many pages of documentation, and 3,000 easy micro-tasks.

    The tasks have answers of one token, so that a tiny model learns within seconds to give some.
    """
    for source, name in ((speeches, "speeches"), (library, "library")):
        documents = islice(source.documents(), num_documents)
        write_documents(folder / name / "documents.jsonl", documents)
    tasks = microtasks.generate(seed=7, num_instances=3000, tasks=("count",), levels=(1, 2))
    files = {"preference": "preferences/prompts.jsonl"}
    for split in ("train", "validation", "test", "preference"):
        rows = [task.model_dump() for task in tasks if microtasks.split_of(task) == split]
        write_lines(folder / files.get(split, f"instructions/{split}.jsonl"), rows)
