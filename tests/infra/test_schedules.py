"""What our Prefect server does otherwise than Prefect's."""

import pytest
from prefect.server.schemas.actions import DeploymentScheduleUpdate

from infra import schedules


@pytest.mark.parametrize(
    "said",
    [
        {"active": False},  # what the switch in the UI sends
        {"active": True, "parameters": {"recipe": "smoke"}},
        {"parameters": {}},
    ],
    ids=str,
)
def test_a_change_to_a_schedule_writes_what_it_says_and_nothing_else(
    said: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DeploymentScheduleUpdate, "model_dump", DeploymentScheduleUpdate.model_dump)
    schedules.keep_what_is_not_said()
    update = DeploymentScheduleUpdate.model_validate(said)
    assert update.model_dump(exclude_none=True, exclude={"replaces"}) == said
