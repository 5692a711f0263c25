"""A change to a schedule keeps what it does not speak of.

Prefect 3.8.8 takes one that says nothing of the parameters, as the switch in its UI sends it, for
one without parameters: switched off and on, a schedule of `smoke` would run `tiny`.
"""

from typing import Any

from prefect.server.schemas.actions import DeploymentScheduleUpdate


def keep_what_is_not_said() -> None:
    """Have a change to a schedule keep the parameters unless it says others, in this process."""
    dump = DeploymentScheduleUpdate.model_dump

    def what_is_said(self: DeploymentScheduleUpdate, **options: Any) -> dict[str, Any]:
        unsaid = {"parameters"} - self.model_fields_set
        options["exclude"] = {*options.get("exclude", ()), *unsaid}
        return dump(self, **options)

    DeploymentScheduleUpdate.model_dump = what_is_said
