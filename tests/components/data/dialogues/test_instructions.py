"""Instructions: every format of the field becomes the same dialogue; what is none says why."""

import json

import pytest

from components.data.dialogues.instructions import dialogue_of
from components.data.dialogues.refused import Refused

CALL = {"name": "weather", "arguments": {"town": "Rome"}}
SCHEMA = {"name": "weather", "parameters": {"type": "object"}}


def said(row):
    found = dialogue_of(row, "mine/1")
    return found.format, [(m.role, m.content) for m in found.dialogue.messages]


def openai(*turns):
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


HELLO = [("user", "Hello"), ("assistant", "Hi")]


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (openai(*HELLO), "OpenAI messages"),
        ({"messages": json.dumps(openai(*HELLO)["messages"])}, "OpenAI messages"),
        (
            openai(
                ("user", [{"type": "text", "text": "Hello"}]),
                (
                    "assistant",
                    [{"type": "reasoning", "value": "?"}, {"type": "text", "text": "Hi"}],
                ),
            ),
            "OpenAI messages",
        ),
        (
            {
                "conversations": [
                    {"from": "human", "value": "Hello"},
                    {"from": "gpt", "value": "Hi"},
                ]
            },
            "ShareGPT",
        ),
        ({"instruction": "Hello", "input": "", "output": "Hi"}, "Alpaca"),
        ({"instruction": "Hello", "context": "", "response": "Hi"}, "Alpaca"),
        ({"prompt": "Hello", "completion": "Hi"}, "prompt/completion"),
        ({"prompt": "Hello", "response": "Hi"}, "prompt/response"),
        (
            {
                "prompt": [{"role": "user", "content": "Hello"}],
                "completion": [{"role": "assistant", "content": "Hi"}],
            },
            "prompt/completion",
        ),
        ({"question": "Hello", "answer": "Hi"}, "question/answer"),
    ],
)
def test_every_format_becomes_the_same_dialogue(row, name):
    assert said(row) == (name, HELLO)


def test_an_input_a_system_prompt_and_a_history_stand_before_what_is_answered():
    row = {
        "system": "Be brief.",
        "history": [["One?", "1"]],
        "instruction": "Add.",
        "input": "1 1",
        "output": "2",
    }
    assert said(row)[1] == [
        ("system", "Be brief."),
        ("user", "One?"),
        ("assistant", "1"),
        ("user", "Add.\n\n1 1"),
        ("assistant", "2"),
    ]


def test_calls_of_tools_are_the_same_in_both_formats():
    sharegpt = {
        "conversations": [
            {"from": "human", "value": "Rain?"},
            {"from": "function_call", "value": json.dumps(CALL)},
            {"from": "observation", "value": "dry"},
            {"from": "gpt", "value": "No."},
        ],
        "tools": json.dumps([SCHEMA]),
    }
    openai_call = {"type": "function", "function": CALL | {"arguments": '{"town": "Rome"}'}}
    openai = {
        "messages": [
            {"role": "user", "content": "Rain?"},
            {"role": "assistant", "content": None, "tool_calls": [openai_call]},
            {"role": "tool", "content": "dry"},
            {"role": "assistant", "content": "No."},
        ],
        "tools": [{"type": "function", "function": SCHEMA}],
    }
    first, second = (dialogue_of(row, "a/1").dialogue for row in (sharegpt, openai))
    assert first == second
    [call] = first.messages[1].tool_calls
    assert (call.name, json.loads(call.arguments)) == ("weather", {"town": "Rome"})
    assert json.loads(first.tools[0])["function"] == SCHEMA


def test_a_call_after_words_belongs_to_them_and_parts_may_be_calls():
    turns = [
        {"from": "human", "value": "Rain?"},
        {"from": "gpt", "value": "I look."},
        {"from": "function_call", "value": json.dumps(CALL)},
    ]
    assert said({"conversations": turns})[1] == [("user", "Rain?"), ("assistant", "I look.")]
    part = {"type": "tool_call", "value": json.dumps(CALL)}
    row = openai(("user", "Rain?"), ("assistant", [part]))
    assert dialogue_of(row, "a").dialogue.messages[1].tool_calls[0].name == "weather"


def test_what_comes_after_the_last_answer_is_left_out_and_counted():
    found = dialogue_of(openai(*HELLO, ("user", "And?")), "mine/1")
    assert (len(found.dialogue.messages), found.num_dropped) == (2, 1)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
def test_thoughts_are_left_out_and_counted_wherever_they_stand(field):
    thinking = {"type": "thinking", "thinking": "Hm."}
    turns = [
        {"role": "user", "content": "Hello", field: " "},
        {"role": "assistant", "content": "Hi", field: "They greet."},
        {"role": "user", "content": [{"type": "text", "text": "And?"}]},
        {"role": "assistant", "content": [thinking, thinking, {"type": "text", "text": "Yes"}]},
    ]
    for messages in (turns, json.dumps(turns)):
        found = dialogue_of({"messages": messages, field: "Let me see."}, "mine/1")
        assert found.num_thoughts == 4
        assert [m.content for m in found.dialogue.messages] == ["Hello", "Hi", "And?", "Yes"]


def test_a_flag_a_word_in_an_answer_and_a_column_that_is_not_read_are_no_thoughts():
    answer = '[{"type": "thinking", "thinking": "as JSON"}]'
    row = {"prompt": "Say it.", "completion": answer, "reasoning": "off", "thinking": None}
    assert dialogue_of(row, "mine/1").num_thoughts == 0
    unread = {"prompt": [{"role": "user", "content": "?", "reasoning": "x"}], "completion": "y"}
    assert dialogue_of(openai(*HELLO) | unread, "mine/1").num_thoughts == 0
    assert dialogue_of(unread, "mine/1").num_thoughts == 1


def called(arguments):
    call = {"function": {"name": "weather", "arguments": arguments}}
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "tool_calls": [call]}]
    return {"messages": turns}


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        ({"body": "x", "title": "y"}, "no known format", "its columns are body, title"),
        ({"messages": []}, "no known format", "messages"),
        (openai(("user", "a"), ("user", "b"), ("assistant", "c")), "roles out of order", "user"),
        (
            openai(("user", "a"), ("assistant", "b"), ("system", "c"), ("assistant", "d")),
            "roles out of order",
            "system after assistant",
        ),
        (openai(("assistant", "a"), *HELLO), "starts with an assistant", "nothing"),
        (openai(("user", "a"), ("assistant", " ")), "empty answer", "assistant says nothing"),
        (openai(("user", ""), ("assistant", "a")), "empty prompt", "user says nothing"),
        (openai(("user", "a")), "no answer", "roles: user"),
        (openai(("user", "a"), ("wizard", "b")), "unknown role", "'wizard'"),
        (called("{town: Rome}"), "arguments are no JSON", "town"),
        (called("[1]"), "arguments are no JSON", "no object"),
        ({"prompt": "a", "response": {"b": 1}}, "not text", "response is dict"),
        (
            openai(("user", [{"type": "image_url", "image_url": {}}]), ("assistant", "a")),
            "not text",
            "image_url",
        ),
        (openai(*HELLO) | {"tools": "none"}, "tools are no JSON", "none"),
    ],
)
def test_a_row_that_is_no_dialogue_says_why(row, reason, detail):
    with pytest.raises(Refused) as error:
        dialogue_of(row, "mine/1")
    assert error.value.reason == reason
    assert detail in error.value.detail
