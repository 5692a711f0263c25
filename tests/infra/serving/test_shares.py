"""Canaries and shadows: who answers whom, and what is kept of it."""

import httpx
import pytest

from components.core.tracking.client import client
from components.lib.inference.serving_scores import read_scores, scores_file, summaries
from infra.serving.shares import Share, Shares, agreement, share
from tests.infra.serving.parrots import Live, released, serving, until

BODY = {"model": "robin", "prompt": "one", "max_tokens": 12, "temperature": 0, "ignore_eos": True}


@pytest.fixture
def versions(parrots) -> list[int]:
    """Two versions of a model, the first the champion, the second a candidate."""
    made = [released("robin", folder).version for folder in parrots]
    client().set_registered_model_alias("robin", "champion", str(made[0]))
    client().set_registered_model_alias("robin", "candidate", str(made[1]))
    return made


def ask(live: Live, user: str | None = None) -> dict:
    reply = live.post("/v1/completions", json={**BODY, **({"user": user} if user else {})})
    assert reply.status_code == 200, reply.text
    return reply.json()


def rows(number: int) -> list:
    until(lambda: len(list(read_scores("robin"))) >= number)
    return list(read_scores("robin"))


def test_a_canary_answers_its_part_and_a_user_is_always_answered_by_the_same(versions):
    with serving("robin", shares=[share("robin@candidate=0.5", "canary")]) as live:
        users = [f"user {number}" for number in range(40)]
        first = {user: ask(live, user)["system_fingerprint"] for user in users}
        again = {user: ask(live, user)["system_fingerprint"] for user in users}
        assert first == again
        names = list(first.values())
        assert set(names) == {f"robin/{versions[0]}", f"robin@candidate/{versions[1]}"}
        assert 8 <= names.count(f"robin@candidate/{versions[1]}") <= 32
        kept = rows(80)
    assert {(row.role, row.version) for row in kept} == {
        ("main", str(versions[0])),
        ("canary", str(versions[1])),
    }
    assert all(row.nats > 0 and row.num_tokens == 12 and row.first_seconds > 0 for row in kept)
    assert scores_file().stat().st_mode & 0o077 == 0


def test_a_shadow_is_asked_the_same_and_answers_nobody(versions):
    shares = [share("robin@candidate=1", "shadow")]
    with serving("robin", shares=shares) as live:
        found = [ask(live) for _ in range(4)]
        assert {each["system_fingerprint"] for each in found} == {f"robin/{versions[0]}"}
        kept = rows(8)
        same = {row.request for row in kept if row.role == "shadow"}
        assert same == {each["id"] for each in found}
        by_itself = live.post("/v1/completions", json={**BODY, "model": "robin@candidate"}).json()
        texts = [[each["choices"][0]["text"]] for each in (found[0], by_itself)]
        shadows = [row for row in kept if row.role == "shadow"]
        assert {row.agreement for row in shadows} == {agreement(*texts)}


def test_clients_judge_answers_and_the_scores_are_told_by_version(versions):
    with serving("robin", shares=[share("robin@candidate=1", "canary")]) as live:
        for score in (1.0, -0.5):
            body = {"id": ask(live)["id"], "score": score}
            assert live.post("/v1/feedback", json=body).status_code == 200
        rows(4)
        unknown = live.post("/v1/feedback", json={"id": "nobody", "score": 1})
        assert unknown.status_code == 404
        assert live.post("/v1/feedback", json={"id": "a", "score": 9}).status_code == 400
        (row,) = httpx.get(f"{live.url}/v1/scores?model=robin").json()["data"]
    assert (row["role"], row["version"]) == ("canary", str(versions[1]))
    assert (row["num_answers"], row["num_feedback"], row["feedback"]) == (2, 2, 0.25)
    assert summaries(read_scores("robin"))[0].feedback == 0.25
    assert summaries(read_scores("another")) == []


def test_a_candidate_that_comes_and_goes_is_served_only_while_it_is_there(versions):
    mlflow = client()
    mlflow.delete_registered_model_alias("robin", "candidate")
    with serving("robin", shares=[share("robin@candidate=1", "canary")]) as live:
        main, candidate = f"robin/{versions[0]}", f"robin@candidate/{versions[1]}"
        assert ask(live)["system_fingerprint"] == main
        assert httpx.get(f"{live.url}/health").status_code == 200
        mlflow.set_registered_model_alias("robin", "candidate", str(versions[1]))
        until(lambda: ask(live)["system_fingerprint"] == candidate)
        mlflow.delete_registered_model_alias("robin", "candidate")
        until(lambda: ask(live)["system_fingerprint"] == main)


def test_shares_that_are_none_are_refused():
    assert share("a@b=0.1", "canary") == Share(name="a", alias="b", kind="canary", part=0.1)
    for wrong in ("a@b", "a@b=2", "a@b=0", "a@b=x"):
        with pytest.raises(ValueError, match="NAME@ALIAS=PART"):
            share(wrong, "shadow")
    with pytest.raises(ValueError, match=r"get 1\.2 of its requests"):
        Shares([share("a@b=0.6", "canary"), share("a@c=0.6", "canary")])


def test_agreement_is_the_share_of_text_that_both_begin_with():
    assert agreement(["abcd"], ["abxd"]) == 0.5
    assert agreement(["ab", ""], ["ab", "cd"]) == 0.5
    assert agreement([""], [""]) == 1
