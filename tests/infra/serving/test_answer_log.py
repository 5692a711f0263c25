"""Kept answers: only with consent, without personal data, and of use as a source."""

import json

import pytest

from components.data.dialogues.rows import known_row
from infra.serving.answer_log import log_folder
from tests.infra.serving.parrots import Live, serving, until

PERSONAL = "I am at anna.smith@example.org, call +49 30 901820 or pay DE89370400440532013000."
CHAT = {"messages": [{"role": "user", "content": PERSONAL}], "max_tokens": 8, "temperature": 0}


def rows() -> list[dict]:
    files = sorted(log_folder().glob("*.jsonl")) if log_folder().exists() else []
    return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]


def ask(live: Live, **more) -> dict:
    reply = live.post("/v1/chat/completions", json={**CHAT, **more})
    assert reply.status_code == 200
    return reply.json()


@pytest.mark.parametrize(("consent", "kept"), [("none", []), ("asked", [True]), ("all", [0, 1])])
def test_answers_are_kept_where_there_is_consent_and_nowhere_else(parrots, consent, kept):
    with serving(f"polly={parrots[0]}", consent=consent) as live:
        found = [ask(live), ask(live, store=True)]
        if kept:
            until(lambda: len(rows()) == len(kept))
    ids = [each["id"] for each in found[-len(kept) :]] if kept else []
    assert [row["id"] for row in rows()] == ids


def test_what_is_kept_has_no_personal_data_and_is_a_dialogue(parrots):
    with serving(f"polly={parrots[0]}", consent="all") as live:
        found = ask(live, n=2, seed=1, temperature=1)
        until(lambda: len(rows()) == 2)
    for row, choice in zip(rows(), found["choices"], strict=True):
        said, answered = row["messages"]
        assert said == {
            "role": "user",
            "content": "I am at <EMAIL>, call <PHONE> or pay <IBAN>.",
        }
        assert answered == {"role": "assistant", "content": choice["message"]["content"]}
        assert row["model"] == "polly"
        assert known_row(row, "instructions").format, "a source would not know it"
    (file,) = log_folder().glob("*.jsonl")
    assert file.stat().st_mode & 0o077 == 0
    assert log_folder().stat().st_mode & 0o077 == 0


def test_completions_are_kept_as_prompt_and_answer_and_tokens_are_not(parrots):
    with serving(f"polly={parrots[0]}", consent="all") as live:
        body = {"prompt": ["Mail a@example.org", [5, 6]], "max_tokens": 4}
        live.post("/v1/completions", json=body)
        until(lambda: len(rows()) == 1)
    assert rows()[0]["prompt"] == "Mail <EMAIL>"
