"""PrepareDialogues: what is left out says why, what is kept is masked; no split leaks."""

import json

import pytest

from components.core.artifacts.data import Instructions
from components.data.prepare_dialogues import PrepareDialogues, PrepareDialoguesInputs
from components.lib.text.chat import TEMPLATE
from components.lib.text.dialogue import read_dialogues
from dashboards.text.dialogue_card import markdown
from tests.components.data.preparation.sets import (
    a_tokenizer,
    evaluation_of,
    messages,
    write_rows,
)

SECRET = "the quick brown fox jumps over the lazy dog and then it sleeps for ever after"
TOWNS = ("Rome", "Paris", "Oslo", "Bern", "Lima", "Cairo", "Delhi", "Tokyo", "Quito", "Accra")
STORY = (
    "Once upon a time a miller had three sons, a mill, a donkey and a cat. When he died the eldest "
    "took the mill, the second the donkey, and for the youngest nothing was left but the cat."
)


def asked(*said, **more):
    return {"messages": messages(*said), **more}


def prepare(tmp_path, sets, *, max_length=2000, template=None, **config):
    for name, rows in sets.items():
        write_rows(tmp_path / "in", name, "dialogues.jsonl", rows)
    more = (template,) if template else ()
    inputs = PrepareDialoguesInputs(
        instructions=Instructions(path=tmp_path / "in", revision="1.dir"),
        evaluation=evaluation_of(tmp_path / "evaluation", SECRET),
        vocabulary=a_tokenizer(tmp_path / "vocabulary", *more),
        max_length=max_length,
    )
    (tmp_path / "out").mkdir(exist_ok=True)
    return PrepareDialogues(**config).run(inputs, tmp_path / "out")


def kept(made):
    return [
        d for side in ("train", "validation") for d in read_dialogues(made.path / f"{side}.jsonl")
    ]


def rejects(made):
    lines = (made.path / "rejects.jsonl").read_text().splitlines()
    return {row["id"]: row for row in map(json.loads, lines)}


CAPITALS = [asked(f"What is {town} the capital of?", f"Of a land {len(town)}.") for town in TOWNS]


def test_what_is_left_out_is_counted_by_reason_and_by_set(tmp_path):
    mine = [
        *CAPITALS,
        asked("what is rome the  capital of?", "Of a land 4."),
        asked(f"Do you know that {SECRET}?", "Yes."),
        asked("Tell me a long story, please.", "x" * 3000),
        asked("Tell it.", STORY),
        asked("Tell it.", STORY.replace("three sons", "three fine sons")),
    ]
    made = prepare(tmp_path, {"mine": mine, "yours": [CAPITALS[0]]})
    assert made.dropped == {
        "duplicate": 2,
        "longer than the context": 1,
        "near duplicate": 1,
        "overlaps quiz": 1,
    }
    found = rejects(made)
    assert found["mine/10"]["detail"] == "of mine/0"
    assert found["yours/0"]["detail"] == "of mine/0"
    assert found["mine/11"]["detail"].startswith("quiz/0: ")
    assert "the model reads 2000" in found["mine/12"]["detail"]
    assert found["mine/14"]["detail"] == "of mine/13"
    card = json.loads((made.path / "card.json").read_text())
    assert card["sets"]["yours"]["dropped"] == {"duplicate": 1}
    assert (card["sets"]["mine"]["rows"], card["sets"]["mine"]["kept"]) == (15, 11)
    assert sum(made.num_dialogues.values()) == len(kept(made)) == 11
    assert made.names == ("mine", "yours")


def test_rows_of_one_template_are_no_duplicates(tmp_path):
    frame = (
        "Below is an instruction that describes a task. Write a response that fits it.\n\n### {}"
    )
    rows = [asked(frame.format(f"What is {town} like?"), f"{town} is a town.") for town in TOWNS]
    assert prepare(tmp_path, {"mine": rows}).dropped == {}


def test_the_same_question_is_on_one_side_and_the_split_depends_on_it_alone(tmp_path):
    rows = [asked(f"Who is {n} of {town}?", f"{n}") for n in range(20) for town in TOWNS]
    again = [
        asked(row["messages"][0]["content"].upper(), "Nobody knows that.") for row in rows[:60]
    ]
    made = prepare(tmp_path, {"mine": rows, "more": again}, validation_share=0.2)

    def questions(side):
        found = read_dialogues(made.path / f"{side}.jsonl")
        return {dialogue.messages[0].content.lower() for dialogue in found}

    assert questions("train").isdisjoint(questions("validation"))
    assert 20 < len(questions("validation")) < 60
    before = questions("validation")
    (tmp_path / "in" / "more" / "dialogues.jsonl").unlink()
    prepare(tmp_path, {"mine": rows}, validation_share=0.2)
    assert questions("validation") == before


def test_a_repeated_id_is_left_out_with_the_reason(tmp_path):
    again = asked("Who is there?", "Nobody.") | {"id": "mine/3"}
    made = prepare(tmp_path, {"mine": [*CAPITALS, again]})
    assert made.dropped == {"repeated id": 1}
    assert rejects(made)["mine/3"]["detail"].startswith("an earlier row has it")
    assert len({dialogue.id for dialogue in kept(made)}) == 10


def test_the_card_says_what_was_found_of_planted_duplicates_and_the_bounds_hold(tmp_path):
    made = prepare(tmp_path, {"mine": CAPITALS})
    card = json.loads((made.path / "card.json").read_text())
    found = {row["form"]: row for row in card["planted"]}
    assert (found["other case"]["planted"], found["other case"]["found"]) == (2, 2)
    assert made.measures["planted_recall"] == made.measures["planted_precision"] == 1.0
    assert "| other punctuation " in markdown(card)
    made = prepare(tmp_path, {"mine": CAPITALS}, num_planted=0)
    assert "planted_recall" not in made.measures


def test_few_dialogues_still_hold_one_out_and_one_question_cannot(tmp_path):
    made = prepare(tmp_path, {"mine": CAPITALS[:2]})
    assert made.num_dialogues == {"train": 1, "validation": 1}
    with pytest.raises(ValueError, match="1 dialogues are left, which begin with 1 questions"):
        prepare(tmp_path, {"mine": CAPITALS[:1]})


def test_personal_data_is_masked_in_messages_and_calls_unless_it_is_switched_off(tmp_path):
    call = {"name": "send", "arguments": '{"to": "ann@example.com", "n": 1}'}
    turns = [
        *messages("Write to bob@example.com, please."),
        {"role": "assistant", "content": "", "tool_calls": [call]},
    ]
    rows = [{"messages": turns}, *CAPITALS]
    calls = "{% if message['tool_calls'] %}{{ message['tool_calls'] | tojson }}{% endif %}"
    template = TEMPLATE.replace("{% if message", calls + "{% if message", 1)
    made = prepare(tmp_path, {"mine": rows}, template=template)
    [dialogue] = [d for d in kept(made) if d.id == "mine/0"]
    assert dialogue.messages[0].content == "Write to <EMAIL>, please."
    assert json.loads(dialogue.messages[1].tool_calls[0].arguments) == {"to": "<EMAIL>", "n": 1}
    card = json.loads((made.path / "card.json").read_text())
    assert card["masked"] == {"email": 2}
    made = prepare(tmp_path, {"mine": rows}, template=template, masked=())
    assert "bob@example.com" in next(d for d in kept(made) if d.id == "mine/0").messages[0].content


def test_what_the_template_refuses_is_left_out_with_what_it_says(tmp_path):
    template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}"
        "{% endif %}{{ m.content }}{% endfor %}"
    )
    system = {"role": "system", "content": "Be brief."}
    rows = [*CAPITALS, {"messages": [system, *messages("What is new?", "Little.")]}]
    made = prepare(tmp_path, {"mine": rows}, template=template)
    assert made.dropped == {"the template does not render it": 1}
    assert "no system" in rejects(made)["mine/10"]["detail"]


def test_the_card_says_how_long_dialogues_are_and_how_much_is_learnt(tmp_path):
    rows = [asked("abcd", "efg", "hi", "jk"), asked("wxyz", "uvw", "st", "qr")]
    made = prepare(tmp_path, {"mine": rows})
    card = json.loads((made.path / "card.json").read_text())
    assert card["turns"]["mean"] == card["turns"]["max"] == 4
    assert card["tokens"]["mean"] == 4 + 3 + 2 + 2 + 4 + 2  # a token a turn, an end an answer
    assert card["learnt_share"] == round((3 + 2 + 2) / 17, 4)
    assert made.measures["learnt_share"] == card["learnt_share"]
