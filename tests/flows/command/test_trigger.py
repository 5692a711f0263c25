import pytest

from flows.changes import changed
from flows.command import trigger
from flows.recipes import smoke


def _triggered(kind: str) -> trigger.Triggered:
    return trigger.Triggered(id="1", name="otter", state="S", kind=kind, message="", url="http://x")


def test_what_is_left_out_is_what_people_set_in_the_ui() -> None:
    assert trigger.request("pipeline", "tiny", [], key=None) == {}
    assert trigger.request("pipeline", "tiny", [], key="monday") == {"idempotency_key": "monday"}


def test_a_recipe_is_sent_whole_with_its_changes() -> None:
    body = trigger.request("pipeline", "smoke", ["align.beta=0.3"], key=None)
    assert body["parameters"]["recipe"] == changed(smoke(), ["align.beta=0.3"]).model_dump(
        mode="json"
    )


def test_a_wrong_change_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ValueError, match="align has no field 'betta'"):
        trigger.request("pipeline", "smoke", ["align.betta=1"], key=None)


@pytest.mark.parametrize(
    ("kind", "code"), [("COMPLETED", 0), ("FAILED", 1), ("CRASHED", 1), ("CANCELLED", 75)]
)
def test_the_exit_code_is_that_of_the_run_once_it_was_waited_for(kind: str, code: int) -> None:
    assert _triggered(kind).exit_code(waited=True) == code
    assert _triggered("SCHEDULED").exit_code(waited=False) == 0
