"""What an answer does: refusals and calls of tools, told from answers that only speak of them."""

import pytest

from components.lib.inference.compared.behaviors import called_tools, declines, kept


@pytest.mark.parametrize(
    "answer",
    [
        "unknown",
        " Unknown.",
        "I'm sorry, but I can't help with that.",
        "I\u2019m very sorry, that is not possible.",
        "I cannot answer that.",
        "I am unable to say.",
        "Sorry, no.",
        "As an AI, I have no opinion.",
        "I don't know the value of x.",
    ],
)
def test_refusals_are_told(answer: str) -> None:
    assert declines(answer)


@pytest.mark.parametrize(
    "answer",
    ["", "5", "The value is unknown to most people.", "He said: I'm sorry.", "Sorrymen sat."],
)
def test_other_answers_are_none(answer: str) -> None:
    assert not declines(answer)


def test_calls_are_told_by_their_names() -> None:
    one = '<tool_call>\n{"name": "weather", "arguments": {"place": "Oslo"}}\n</tool_call>'
    two = '[{"name": "a", "parameters": {}}, {"name": "b", "parameters": {}}]'
    assert called_tools(one) == ("weather",)
    assert called_tools(two) == ("a", "b")
    assert called_tools('Her "name": "Ann".') == ()
    assert called_tools("I would call weather.") == ()


def test_what_is_kept_is_counted_where_there_was_something() -> None:
    assert kept([True, True, False], [True, False, True]) == 0.5
    assert kept([("a",), (), ("b",)], [("a",), ("c",), ("a",)]) == 0.5
    assert kept([False, ()], [True, ("a",)]) is None
