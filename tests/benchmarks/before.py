"""The build before, checked out beside this one."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
BEFORE = "805fcbe"


def console_script(root: Path, *words: str) -> list[str]:
    """Return the command that does what the `bloomery` of a checkout does."""
    is_new = (root / "flows" / "command" / "app.py").exists()
    module = "flows.command.app" if is_new else "flows.cli"
    return [sys.executable, "-c", f"from {module} import entry; entry()", *words]


@contextmanager
def checkout(before: Path | None = None) -> Iterator[Path]:
    """Give a checkout of the build before; one made here goes with the block."""
    if before is not None:
        yield before.resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        git = ["git", "-C", str(ROOT), "worktree"]
        made = Path(folder) / "before"
        subprocess.run([*git, "add", "--detach", str(made), BEFORE], check=True)
        try:
            yield made
        finally:
            subprocess.run([*git, "remove", "--force", str(made)], check=True)
