"""A call and its outcome: what is raised in one process is raised again in the other."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from components.core.processes.call import (
    TAIL_LINES,
    Call,
    Done,
    Failed,
    Mendable,
    PreemptedAfter,
    outcome_of,
    perform,
    raise_unless_done,
)
from components.core.processes.preemption import Preempted


class TooSmall(ValueError):
    """An error of a class that the other process may not have."""


def answer(payload: dict[str, Any]) -> None:
    """Do what the payload says."""
    match payload:
        case {"refuse": text}:
            raise TooSmall(text)
        case {"leave_after": step}:
            raise Preempted(step)
        case {"interrupt": _}:
            raise KeyboardInterrupt
        case {"break": reason}:
            raise KeyError(reason)
        case {"say_lines": number}:
            raise OSError("\n".join(f"line {each}" for each in range(number)))


def call(**payload: Any) -> Call:
    return Call(target=f"{__name__}:answer", payload=payload)


def test_a_call_that_returns_is_done():
    assert perform(call()) == Done()
    raise_unless_done(Done())


def test_each_outcome_is_raised_on_the_other_side_as_it_was_raised_here():
    for each, kind, message in (
        (call(refuse="Lower it: 3 < 4\nünïcode"), ValueError, "^Lower it: 3 < 4\nünïcode$"),
        (call(leave_after=7), Preempted, "^Preempted after step 7\\."),
        (call(**{"break": "the reason"}), RuntimeError, "KeyError: 'the reason'"),
    ):
        there = perform(Call.model_validate_json(each.model_dump_json()))
        text = there.model_dump_json()
        assert "\n" not in text, "an answer is a line"
        here = outcome_of(text)
        assert here == there
        with pytest.raises(kind, match=message) as raised:
            raise_unless_done(here)
        assert type(raised.value) is kind, "a class that not every process has"


def test_a_failure_has_the_last_lines_of_its_traceback_and_no_more():
    failed = perform(call(say_lines=100))
    assert isinstance(failed, Failed)
    assert failed.reason == f"{__name__}:answer failed. Its last lines:"
    assert len(failed.tail.splitlines()) == TAIL_LINES
    assert failed.tail.endswith("line 98\nline 99\n")


def test_a_function_that_is_not_there_fails_and_says_which():
    failed = perform(Call(target=f"{__name__}:nothing", payload={}))
    assert isinstance(failed, Failed)
    assert "nothing" in failed.tail
    missing = perform(Call(target="no_such_module:function", payload={}))
    assert isinstance(missing, Failed)
    assert "No module named 'no_such_module'" in missing.tail


def test_an_interruption_passes_through_instead_of_becoming_an_outcome():
    with pytest.raises(KeyboardInterrupt):
        perform(call(interrupt=True))


@pytest.mark.parametrize("target", ["function", "a.b:c.d", "a:<lambda>", "a b:c", ""])
def test_a_target_that_no_process_could_import_is_refused(target):
    with pytest.raises(ValidationError, match="target"):
        Call(target=target, payload={})


def test_an_outcome_of_an_unknown_kind_is_refused():
    with pytest.raises(ValidationError, match="kind"):
        outcome_of(json.dumps({"kind": "maybe"}))
    for outcome in (Done(), Mendable(message="x"), PreemptedAfter(step=0), Failed(reason="x")):
        assert outcome_of(outcome.model_dump_json()) == outcome
