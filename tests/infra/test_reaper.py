"""What is said of a run whose process died: a checkpoint is promised only where there is one."""

from pathlib import Path
from typing import ClassVar

from components.core.artifacts.base import Artifact
from components.core.artifacts.data import DataRevision
from components.core.component import Component
from components.core.execute import address
from components.core.journal import Origin
from components.core.tracking import shipping
from infra.reaper import _what_retry_does  # pyright: ignore[reportPrivateUsage]


class Training(Component[DataRevision, Artifact]):
    version: ClassVar[str] = "1.0.0"

    def run(self, inputs: DataRevision, out: Path) -> Artifact:
        raise NotImplementedError


def test_a_retry_promises_a_checkpoint_only_where_there_is_one() -> None:
    component, dead = Training(), Origin(run_id="dead", run_name="otter", flow="pretrain")
    out = address(component, DataRevision(revision="1.dir"))
    out.mkdir(parents=True)
    assert _what_retry_does("dead") == "Retry keeps the finished steps and goes on after them."
    shipping.save(out, shipping.prepare(component, out, dead, None))
    said = _what_retry_does("dead")
    assert "no checkpoint" in said
    assert component.name in said
    (out / "checkpoints" / "step_00000040").mkdir(parents=True)
    (out / "checkpoints" / "step_00000040" / "manifest.json").touch()
    assert _what_retry_does("dead").endswith("from its checkpoint of step 40.")
    assert _what_retry_does("another") == "Retry keeps the finished steps and goes on after them."
