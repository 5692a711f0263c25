"""Rendered dialogues: what is learnt decodes to the assistant's own words and the turn's end."""

import json
from itertools import groupby

import pytest

from components.lib.tasks.microtasks import generate
from components.lib.text.chat import answer_end, encode_prompt
from components.lib.text.chat_tokenizer import ChatTokenizer
from components.lib.text.dialogue import Dialogue, Message, ToolCall
from components.lib.text.rendered import Renderer, render_dialogue
from tests.components.lib.text.templates import STYLES, tokenizer_of

TOOL = json.dumps(
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Says how it is.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
)


def dialogue(*said: tuple[str, str], **more) -> Dialogue:
    messages = tuple(Message(role=role, content=text) for role, text in said)
    return Dialogue(id="mine/0", messages=messages, **more)


def learnt(tokenizer, made) -> list[str]:
    """Return the text of each run of tokens that bear a loss."""
    rows = zip(made.ids, made.is_learnt, strict=True)
    runs = [(is_learnt, [i for i, _ in run]) for is_learnt, run in groupby(rows, lambda r: r[1])]
    return [tokenizer.decode(ids) for is_learnt, ids in runs if is_learnt]


@pytest.fixture(params=sorted(STYLES))
def style(request, tmp_path):
    found = STYLES[request.param]
    return found, tokenizer_of(tmp_path / "model", found)


TURNS = (("user", "a question"), ("assistant", "an answer\n\nin lines"), ("user", "more?"))


def test_every_answer_and_its_end_is_learnt_and_nothing_else(style):
    found, tokenizer = style
    made = render_dialogue(tokenizer, dialogue(*TURNS, ("assistant", "no")))
    first = "" if "think" in found.before else found.before
    assert learnt(tokenizer, made) == [
        f"{first}an answer\n\nin lines{found.after}{found.end}",
        f"{found.before}no{found.after}{found.end}",
    ]
    assert made.ids[-1] == answer_end(tokenizer)


def test_the_tokens_are_those_of_the_template(style):
    _found, tokenizer = style
    said = dialogue(*TURNS, ("assistant", "no"))
    whole = tokenizer.apply_chat_template([m.for_template() for m in said.messages], tokenize=False)
    text = tokenizer.decode(render_dialogue(tokenizer, said).ids)
    assert whole.startswith(text)
    assert "no" not in whole[len(text) :]


def test_a_prompt_has_the_ids_that_are_asked_later(style, tmp_path):
    found, tokenizer = style
    for question in ("a question", " padded\n", f"a{found.end}b", "<|im_end|>\n<|im_start|>"):
        made = render_dialogue(tokenizer, dialogue(("user", question), ("assistant", "b")))
        prompt = encode_prompt(tokenizer, question)
        assert made.ids[: len(prompt)] == prompt
        assert made.is_learnt.index(True) == len(prompt) == made.prompt_length()
        assert ChatTokenizer(tmp_path / "model").encode_prompt(question) == prompt


def test_a_system_prompt_is_not_learnt_or_refused_with_the_reason(style):
    found, tokenizer = style
    said = dialogue(("system", "Be terse."), *TURNS, ("assistant", "no"))
    if not found.system:
        with pytest.raises(ValueError, match="refuses"):
            render_dialogue(tokenizer, said)
        return
    made = render_dialogue(tokenizer, said)
    assert "Be terse." in tokenizer.decode(made.ids)
    assert "terse" not in "".join(learnt(tokenizer, made))
    assert len(learnt(tokenizer, made)) == 2


def test_nobody_ends_a_turn_from_within(style):
    found, tokenizer = style
    said = dialogue(("user", f"a{found.end}b"), ("assistant", f"x{found.end}{found.bos}y"))
    made = render_dialogue(tokenizer, said)
    plain = render_dialogue(tokenizer, dialogue(("user", "ab"), ("assistant", "xy")))
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    counts = [sum(each in special for each in one.ids) for one in (made, plain)]
    assert counts[0] == counts[1]
    (words,) = learnt(tokenizer, made)
    assert words == f"{found.before}x{found.end}{found.bos}y{found.after}{found.end}"


def test_calls_of_tools_are_learnt_and_their_results_are_not(style):
    found, tokenizer = style
    said = Dialogue(
        id="mine/1",
        messages=(
            Message(role="user", content="Is it wet?"),
            Message(
                role="assistant",
                tool_calls=(
                    ToolCall(name="weather", arguments='{"city": "Rome\\"s"}', id="c" * 9),
                ),
            ),
            Message(role="tool", content='It "rains".', name="weather", tool_call_id="c" * 9),
            Message(role="assistant", content="It is."),
        ),
        tools=(TOOL,),
    )
    if not found.tools:
        with pytest.raises(ValueError, match=r"refuses|does not show what tools there are"):
            render_dialogue(tokenizer, said)
        return
    call, answer = learnt(tokenizer, render_dialogue(tokenizer, said))
    assert "weather" in call
    assert 'Rome\\"s' in call
    assert call.endswith(found.end)
    assert call.count(found.end) == 1
    assert "rains" not in call + answer
    assert answer == f"{found.before}It is.{found.end}"


def test_many_at_once_are_what_each_is_alone(style):
    _found, tokenizer = style
    rows = [
        dialogue(*TURNS, ("assistant", "no")),
        dialogue(*TURNS, ("assistant", " padded ")),
        dialogue(("user", "\nx"), ("assistant", "yes")),
        dialogue(("user", "x\n"), ("assistant", "\tno")),
        dialogue(("user", "?"), ("assistant", "<think>\nhm\n</think>\n\nyes")),
        dialogue(("user", "?"), ("assistant", "plain")),
        dialogue(("user", "?"), ("assistant", "")),
    ] * 2
    made = list(Renderer(tokenizer).render(rows))
    assert made[-1] == "Message 2 (assistant) is empty."
    for row, one in zip(rows[:6], made[:6], strict=True):
        assert render_dialogue(tokenizer, row) == one
    assert made[:7] == made[7:]


def test_generation_marks_name_the_same_tokens(tmp_path):
    """transformers' own mask is the peer."""
    tokenizer = tokenizer_of(tmp_path, STYLES["with-generation-marks"])
    said = dialogue(("system", "s"), *TURNS, ("assistant", "no"))
    peer = tokenizer.apply_chat_template(
        [m.for_template() for m in said.messages],
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    made = render_dialogue(tokenizer, said)
    size = len(made.ids)
    assert peer["input_ids"][:size] == made.ids
    assert [bool(each) for each in peer["assistant_masks"][:size]] == made.is_learnt


def test_thoughts_that_a_template_drops_are_not_learnt_and_those_it_prints_are(tmp_path):
    tokenizer = tokenizer_of(tmp_path, STYLES["qwen3"])
    thought = "<think>\nwell\n</think>\n\nyes"
    said = dialogue(("user", "?"), ("assistant", thought), ("user", "!"), ("assistant", thought))
    assert learnt(tokenizer, render_dialogue(tokenizer, said)) == [
        "yes<|im_end|>",
        "<think>\nwell\n</think>\n\nyes<|im_end|>",
    ]


def test_a_template_that_sets_no_end_gets_the_tokenizers_after_the_last_answer(tmp_path):
    style = STYLES["alpaca"]
    bare = style._replace(template=style.template.replace(" + eos_token", ""))
    tokenizer = tokenizer_of(tmp_path, bare)
    said = dialogue(*TURNS, ("assistant", "no"))
    made = render_dialogue(tokenizer, said)
    assert learnt(tokenizer, made) == ["an answer\n\nin lines", "no</s>"]


CHATML = STYLES["chatml"]


def test_what_a_template_rewrites_is_learnt_as_it_is_printed(tmp_path):
    shouts = CHATML._replace(template=CHATML.template.replace("m['content']", "m['content']|upper"))
    tokenizer = tokenizer_of(tmp_path, shouts)
    made = render_dialogue(tokenizer, dialogue(("user", "what"), ("assistant", "this")))
    assert learnt(tokenizer, made) == ["THIS<|im_end|>"]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("assistant\\n' }}", "assistant\\n<think>' }}", "asks for an answer by"),
        ("m['content']", "m['content'] ~ (m['content'] | length)", "cannot be followed"),
        ("m['content']", "m['content'][:3]", "cannot be followed"),
        ("m['content']", "(m['content'] if loop.index > 1 else '')", r"message 1 \(system\)"),
    ],
)
def test_a_template_that_cannot_be_followed_is_refused_with_the_reason(old, new, reason, tmp_path):
    style = CHATML._replace(template=CHATML.template.replace(old, new))
    assert style != CHATML
    tokenizer = tokenizer_of(tmp_path, style)
    said = dialogue(("system", "be brief"), ("user", "a question"), ("assistant", "the answer"))
    with pytest.raises(ValueError, match=reason):
        render_dialogue(tokenizer, said)


def test_calls_that_a_template_does_not_print_are_refused(tmp_path):
    tokenizer = tokenizer_of(tmp_path, CHATML)
    call = Message(role="assistant", tool_calls=(ToolCall(name="weather"),))
    said = Dialogue(id="mine/0", messages=(Message(role="user", content="?"), call))
    with pytest.raises(ValueError, match="does not print calls of tools"):
        render_dialogue(tokenizer, said)


def test_micro_tasks_have_the_ids_that_they_always_had(vocabulary):
    from components.lib.models.folders import load_tokenizer

    tokenizer = load_tokenizer(vocabulary.path)
    tasks = generate(seed=1, num_instances=400)
    rows = [dialogue(("user", task.prompt), ("assistant", task.completion)) for task in tasks]
    for task, made in zip(tasks, Renderer(tokenizer).render(rows), strict=True):
        prompt = encode_prompt(tokenizer, task.prompt)
        answer = tokenizer.encode(task.completion, add_special_tokens=False)
        assert made.ids == [*prompt, *answer, tokenizer.eos_token_id]
        assert made.is_learnt == [False] * len(prompt) + [True] * (len(answer) + 1)
