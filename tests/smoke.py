"""The recipe `smoke` from the committed pin to a released model, run once for many tests."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

_CHECKOUT = Path(__file__).resolve().parents[1]
_BLOOMERY = [sys.executable, "-m", "flows.command.app"]
_OURS = ("BLOOMERY_", "PREFECT_")  # what other tests may have set
_SECONDS = 900  # until the base model is there, on a busy machine


class Smoke(NamedTuple):
    """A project with a home of its own and what was run there.

    The tests of the pipeline go on in it; all others copy it.
    """

    project: Path

    @property
    def home(self) -> Path:
        """Where the state of its runs is."""
        return self.project / ".bloomery"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a user in this project: as it comes, with Ray."""
        outside = {k: v for k, v in os.environ.items() if not k.startswith(_OURS)}
        ours = {"BLOOMERY_PROJECT": str(self.project), "BLOOMERY_HOME": str(self.home)}
        return {**outside, **ours, "PYTHONPATH": str(_CHECKOUT)}

    def begin(self, *words: str, **options: Any) -> "subprocess.Popen[str]":
        """Start `bloomery` with these words."""
        options = {"cwd": self.project, "env": self.environment, "text": True, **options}
        return subprocess.Popen([*_BLOOMERY, *words], **options)

    def bloomery(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run `bloomery` with these words."""
        options = {"capture_output": True, "text": True, "timeout": 900}
        return subprocess.run(
            [*_BLOOMERY, *words], cwd=self.project, env=self.environment, **options
        )

    def copy(self, project: Path) -> "Smoke":
        """Return another project over the same data and artifacts, as the run left them."""
        return Smoke(shutil.copytree(self.project.with_name("kept"), project))


def run(folder: Path) -> None:
    """Kill the first run once the base model is there, and have the second one finish."""
    smoke = Smoke(folder / "project")
    (smoke.project / ".dvc").mkdir(parents=True)
    for name in ("data.dvc", ".dvcignore", ".dvc/config"):  # the pin, and no data yet
        shutil.copy(_CHECKOUT / name, smoke.project / name)
    _kill_after_pretraining(smoke)
    second = smoke.bloomery("run", "--recipe", "smoke")
    assert second.returncode == 0, second.stdout + second.stderr
    without_state = shutil.ignore_patterns(smoke.home.name)
    kept = Smoke(shutil.copytree(smoke.project, folder / "kept", ignore=without_state))
    shutil.copytree(smoke.home / "artifacts", kept.home / "artifacts")


def _kill_after_pretraining(smoke: Smoke) -> None:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = smoke.begin("run", "--recipe", "smoke", **quiet)
    try:
        deadline = time.monotonic() + _SECONDS
        while not list(smoke.home.glob("artifacts/pretrain.train/*/*/artifact.json")):
            assert process.poll() is None, "the first run ended before it could be killed"
            assert time.monotonic() < deadline, "no base model"
            time.sleep(0.2)
    finally:
        process.kill()
        process.wait()
