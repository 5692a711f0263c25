import pytest

from flows.command import trigger


def _triggered(kind: str) -> trigger.Triggered:
    return trigger.Triggered(id="1", name="otter", state="S", kind=kind, message="", url="http://x")


def test_what_is_left_out_is_what_people_set_in_the_ui() -> None:
    assert trigger.request("pipeline", None, [], key=None) == {}
    assert trigger.request("pipeline", None, [], key="monday") == {"idempotency_key": "monday"}


def test_a_recipe_is_sent_by_its_name_with_its_changes() -> None:
    body = trigger.request("pipeline", "smoke", ["align.beta=0.3"], key=None)
    assert body == {"parameters": {"recipe": "smoke", "set": {"align.beta": 0.3}}}


def test_a_recipe_that_is_named_is_sent_without_what_people_set_in_the_ui() -> None:
    body = trigger.request("pipeline", "tiny", [], key=None)
    assert body == {"parameters": {"recipe": "tiny", "set": {}}}


def test_what_another_flow_takes_is_left_to_the_server() -> None:
    body = trigger.request("ingest", "smoke", [], key=None)
    assert body["parameters"]["recipe"] == "smoke"


def test_a_wrong_change_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ValueError, match="align has no field 'betta'"):
        trigger.request("pipeline", "smoke", ["align.betta=1"], key=None)


@pytest.mark.parametrize(
    ("kind", "code"), [("COMPLETED", 0), ("FAILED", 1), ("CRASHED", 1), ("CANCELLED", 75)]
)
def test_the_exit_code_is_that_of_the_run_once_it_was_waited_for(kind: str, code: int) -> None:
    assert _triggered(kind).exit_code(waited=True) == code
    assert _triggered("SCHEDULED").exit_code(waited=False) == 0
