"""Preferences: every format becomes a prompt with two answers; what is none says why."""

import pytest

from components.data.dialogues.preferences import comparison_of
from components.data.dialogues.refused import Refused


def message(role, content):
    return {"role": role, "content": content}


ASKED, GOOD, BAD = message("user", "Two?"), message("assistant", "2"), message("assistant", "3")


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"prompt": "Two?", "chosen": "2", "rejected": "3"}, "prompt, chosen, rejected"),
        ({"prompt": [ASKED], "chosen": [GOOD], "rejected": [BAD]}, "prompt, chosen, rejected"),
        ({"messages": [ASKED], "chosen": GOOD, "rejected": BAD}, "messages, chosen, rejected"),
        (
            {
                "conversations": [{"from": "human", "value": "Two?"}],
                "chosen": {"from": "gpt", "value": "2"},
                "rejected": {"from": "gpt", "value": "3"},
            },
            "conversations, chosen, rejected",
        ),
        ({"chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]}, "whole dialogues"),
        ({"prompt": "Two?", "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]}, "whole dialogues"),
        (
            {
                "chosen": "\n\nHuman: Two?\n\nAssistant: 2",
                "rejected": "\n\nHuman: Two?\n\nAssistant: 3",
            },
            "Human/Assistant texts",
        ),
        (
            {"prompt": "\n\nHuman: Two?\n\nAssistant:", "chosen": "2", "rejected": "3"},
            "prompt, chosen, rejected",
        ),
        (
            {"instruction": "Two?", "input": "", "output": "2", "chosen": "2", "rejected": "3"},
            "instruction, chosen, rejected",
        ),
    ],
)
def test_every_format_becomes_the_same_comparison(row, name):
    found = comparison_of(row, "mine/1")
    assert found.format == name
    prompt = [(each.role, each.content) for each in found.comparison.prompt]
    assert (prompt, found.comparison.chosen, found.comparison.rejected) == (
        [("user", "Two?")],
        "2",
        "3",
    )


def test_the_turns_before_are_the_prompt_and_a_system_prompt_stands_first():
    text = "\n\nHuman: One?\n\nAssistant: 1\n\nHuman: Two?\n\nAssistant: "
    row = {"system": "Count.", "chosen": text + "2", "rejected": text + "3"}
    found = comparison_of(row, "mine/1").comparison
    assert [each.role for each in found.prompt] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "a", "chosen": "b"}, "no known format"),
        ({"chosen": "b", "rejected": "c"}, "no known format"),
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, "identical answers"),
        ({"prompt": " ", "chosen": "b", "rejected": "c"}, "empty prompt"),
        ({"prompt": "a", "chosen": "b", "rejected": " "}, "empty answer"),
        ({"prompt": [ASKED, GOOD], "chosen": "b", "rejected": "c"}, "roles out of order"),
        (
            {"chosen": [ASKED, GOOD], "rejected": [message("user", "Three?"), BAD]},
            "prompts differ",
        ),
        ({"chosen": [ASKED, GOOD, ASKED], "rejected": [ASKED, GOOD, BAD]}, "roles out of order"),
    ],
)
def test_a_row_that_is_no_comparison_says_why(row, reason):
    with pytest.raises(Refused) as error:
        comparison_of(row, "mine/1")
    assert error.value.reason == reason
