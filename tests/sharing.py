"""What the processes of one test session share: who takes which files, and folders made once."""

import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from xdist.scheduler.loadfile import LoadFileScheduling

ON_ONE_STACK = (
    "tests/infra/test_approval.py",
    "tests/infra/test_browser.py",
    "tests/infra/test_form.py",
    "tests/infra/test_mlflow_pages.py",
    "tests/infra/test_notice.py",
    "tests/infra/test_readme.py",
    "tests/infra/test_rest.py",
    "tests/infra/test_stack.py",
    "tests/infra/test_survival.py",
)
"""The files that use the stack of `tests/infra/conftest.py`."""


class OneStack(LoadFileScheduling):
    """Gives each process a file at a time, and the files that use one stack to one process."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "one stack" if file in ON_ONE_STACK else file


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return `folder`, which the first process to ask for it makes and all others wait for.

    One that breaks off leaves no mark, so the next to ask begins anew.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (mark := folder.with_name(f"{folder.name}.made")).exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            mark.touch()
    return folder
