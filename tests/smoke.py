"""The recipe `smoke` from the committed pin to a released model, run once for many tests."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

_CHECKOUT = Path(__file__).resolve().parents[1]
_OURS = ("BLOOMERY_", "PREFECT_")  # what other tests may have set
_SECONDS = 400  # until the base model is there, on a busy machine


class Smoke(NamedTuple):
    """A project with a home of its own and what was run there."""

    project: Path

    @property
    def home(self) -> Path:
        """Where the state of its runs is."""
        return self.project / ".bloomery"

    @property
    def said(self) -> str:
        """What the run printed that came to its end."""
        return (self.project / "said.txt").read_text("utf-8")

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a user in this project: as it comes, with Ray."""
        outside = {k: v for k, v in os.environ.items() if not k.startswith(_OURS)}
        ours = {"BLOOMERY_PROJECT": str(self.project), "BLOOMERY_HOME": str(self.home)}
        return {**outside, **ours, "PYTHONPATH": str(_CHECKOUT)}

    def begin(self, *words: str, **options: Any) -> "subprocess.Popen[str]":
        """Start `bloomery` with these words."""
        command = [sys.executable, "-m", "flows.command.app", *words]
        options = {"cwd": self.project, "env": self.environment, "text": True, **options}
        return subprocess.Popen(command, **options)

    def bloomery(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run `bloomery` with these words."""
        with self.begin(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            said, complained = process.communicate(timeout=600)
        return subprocess.CompletedProcess(words, process.returncode, said, complained)

    def copy(self, project: Path) -> "Smoke":
        """Return another project over the same data, with the artifacts made of it and no runs."""
        other = Smoke(project)
        shutil.copytree(self.project, project, ignore=shutil.ignore_patterns(".bloomery"))
        shutil.copytree(self.home / "artifacts", other.home / "artifacts")
        return other


def run(project: Path) -> None:
    """Kill the first run once the base model is there, and have the second one finish."""
    (project / ".dvc").mkdir(parents=True)
    for name in ("data.dvc", ".dvcignore", ".dvc/config"):  # the pin, and no data yet
        shutil.copy(_CHECKOUT / name, project / name)
    smoke = Smoke(project)
    first = smoke.begin(
        "run", "--recipe", "smoke", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + _SECONDS
        while not list(smoke.home.glob("artifacts/pretrain.train/*/*/artifact.json")):
            assert first.poll() is None, "the first run ended before it could be killed"
            assert time.monotonic() < deadline, "no base model"
            time.sleep(0.2)
    finally:
        first.kill()
        first.wait()
    second = smoke.bloomery("run", "--recipe", "smoke")
    assert second.returncode == 0, second.stdout + second.stderr
    (project / "said.txt").write_text(second.stdout, encoding="utf-8")
