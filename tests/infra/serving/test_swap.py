"""An alias that moves in MLflow: the next requests get the other version, and none is lost."""

import contextlib
import shutil
import threading
import time
from collections import Counter

import httpx
import psutil
import pytest

from components.core.tracking.client import client
from components.lib.inference.engines import open_engine
from components.lib.inference.generation import Wanted
from components.lib.inference.sampling import Sampling
from components.lib.text.chat_tokenizer import ChatTokenizer
from tests.infra.serving.parrots import Live, record, released, serving, until

PROMPTS = ["one", "Polly wants a cracker", "x" * 90]
LENGTH = 24


@pytest.fixture(scope="module")
def expected(parrots) -> list[dict[str, str]]:
    """What each version says to each prompt, alone."""
    found: list[dict[str, str]] = []
    for folder in parrots:
        engine, tokenizer = open_engine(folder, 1, 1), ChatTokenizer(folder)
        sampling = Sampling(max_new_tokens=LENGTH)
        said = {
            text: [m.id for m in engine.stream(Wanted(tokenizer.encode_text(text), sampling))]
            for text in PROMPTS
        }
        found.append({text: tokenizer.decode_answer(ids) for text, ids in said.items()})
        engine.close()
    assert all(found[0][text] != found[1][text] for text in PROMPTS)
    return found


def ask(live: Live, prompt: str) -> tuple[str, str]:
    """Return the version that answered, and what it said."""
    body = {"prompt": prompt, "max_tokens": LENGTH, "temperature": 0}
    reply = live.post("/v1/completions", json=body)
    assert reply.status_code == 200, reply.text
    found = reply.json()
    return found["system_fingerprint"], found["choices"][0]["text"]


def vanish(live: Live) -> None:
    """Ask for a long answer and go away in the middle of it."""
    body = {"prompt": "one", "max_tokens": 150, "stream": True}
    with httpx.stream("POST", f"{live.url}/v1/completions", json=body, timeout=60) as reply:
        next(reply.iter_lines())


def exchanged_under_load(
    live: Live, expected: list[dict[str, str]], versions: list[int], seconds: float
) -> Counter[str]:
    """Move the alias to and fro while clients ask; return how many answers each version gave."""
    stop, answers, wrong = threading.Event(), Counter[str](), list[str]()

    def asks(number: int) -> None:
        while not stop.is_set():
            prompt = PROMPTS[number % len(PROMPTS)]
            try:
                who, said = ask(live, prompt)
            except (AssertionError, httpx.HTTPError) as error:
                wrong.append(repr(error))
                return
            version = versions.index(int(who.partition("/")[2]))
            if said != expected[version][prompt]:
                wrong.append(f"{who} said {said!r}")
            answers[who] += 1

    def vanishes() -> None:
        while not stop.is_set():
            vanish(live)

    threads = [threading.Thread(target=asks, args=(number,)) for number in range(6)]
    threads += [threading.Thread(target=vanishes) for _ in range(2)]
    for thread in threads:
        thread.start()
    mlflow, end = client(), time.monotonic() + seconds
    while time.monotonic() < end and not wrong:
        for version in versions:
            mlflow.set_registered_model_alias("polly", "champion", str(version))
            time.sleep(0.4)
    stop.set()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    return answers


def test_no_answer_is_lost_or_mixed_while_an_alias_moves_to_and_fro(parrots, expected):
    versions = [released("polly", folder).version for folder in parrots]
    with serving("polly") as live:
        answers = exchanged_under_load(live, expected, versions, seconds=3)
        assert {who.partition("/")[0] for who in answers} == {"polly"}
        assert len(answers) == 2, "one version never answered"
        assert live.metric("bloomery_swaps_total", model="polly") >= 2
        assert live.metric("bloomery_requests_total", status="200") >= sum(answers.values())
        assert live.metric("bloomery_requests_total", status="499") >= 1
        until(lambda: live.running() == 0)
        until(lambda: [each.name for each in threading.enumerate()].count("engine") == 1)


@pytest.mark.prove
def test_memory_stays_flat_over_hundreds_of_exchanges(parrots, expected):
    versions = [released("polly", folder).version for folder in parrots]
    with serving("polly") as live:
        exchanged_under_load(live, expected, versions, seconds=20)
        before = psutil.Process().memory_info().rss
        exchanged_under_load(live, expected, versions, seconds=120)
        grown = psutil.Process().memory_info().rss - before
    assert grown < 64 << 20, f"{grown >> 20} MiB more"


def test_a_version_whose_files_are_damaged_is_refused_and_the_old_one_goes_on(
    parrots, expected, tmp_path
):
    first = released("jay", parrots[0])
    damaged = tmp_path / "damaged"
    shutil.copytree(parrots[1], damaged)
    record(damaged)
    weights = damaged / "onnx" / "model.onnx.data"
    body = bytearray(weights.read_bytes())
    body[1000] ^= 1
    weights.write_bytes(bytes(body))
    with serving("jay") as live:
        second = released("jay", damaged)
        assert second.version == first.version + 1
        until(lambda: live.service.models.troubles())
        who, said = ask(live, "one")
        assert (who, said) == (f"jay/{first.version}", expected[0]["one"])
        trouble = httpx.get(f"{live.url}/health").json()["models"]["jay"]["trouble"]
        assert "sha256" in trouble
        assert live.metric("bloomery_model_up", model="jay") == 0
        client().set_registered_model_alias("jay", "champion", str(first.version))
        until(lambda: not live.service.models.troubles())


def test_a_model_that_does_not_load_is_named_and_the_others_are_served(parrots, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(parrots[0], broken)
    (broken / "onnx" / "model.onnx").write_bytes(b"nothing")
    with serving(f"polly={parrots[0]}", f"broken={broken}") as live:
        assert ask(live, "one")[0] == "polly"
        reply = live.post("/v1/completions", json={"model": "broken", "prompt": "a"})
        assert reply.status_code == 503
        assert "does not load" in reply.json()["error"]["message"]
        assert httpx.get(f"{live.url}/health").status_code == 503
    with pytest.raises(ValueError, match="does not load"), serving(f"broken={broken}"):
        pass


def test_an_alias_of_its_own_is_served_beside_the_champion(parrots, expected):
    versions = [released("owl", folder).version for folder in parrots]
    client().set_registered_model_alias("owl", "candidate", str(versions[0]))
    with serving("owl", "owl@candidate") as live:
        for name, version in (("owl", 1), ("owl@champion", 1), ("owl@candidate", 0)):
            body = {"model": name, "prompt": "one", "max_tokens": LENGTH, "temperature": 0}
            found = live.post("/v1/completions", json=body).json()
            assert found["choices"][0]["text"] == expected[version]["one"]


def test_what_was_asked_before_an_exchange_is_answered_to_its_end(parrots):
    versions = [released("kea", folder).version for folder in parrots]
    client().set_registered_model_alias("kea", "champion", str(versions[0]))
    with serving("kea") as live, contextlib.ExitStack() as stack:
        body = {"prompt": "one", "max_tokens": 200, "temperature": 0, "stream": True}
        whole = live.post("/v1/completions", json={**body, "stream": False}).json()
        reply = stack.enter_context(
            httpx.stream("POST", f"{live.url}/v1/completions", json=body, timeout=60)
        )
        lines = reply.iter_lines()
        next(lines)
        client().set_registered_model_alias("kea", "champion", str(versions[1]))
        until(lambda: live.metric("bloomery_swaps_total", model="kea") == 1)
        rest = "\n".join(lines)
        assert f'"kea/{versions[0]}"' in rest
        assert f'"kea/{versions[1]}"' not in rest
        assert rest.rstrip().endswith("[DONE]")
        assert whole["system_fingerprint"] == f"kea/{versions[0]}"


def test_names_that_mean_nothing_are_refused_with_what_they_could_be(tmp_path):
    from infra.serving.found import find, wish

    with pytest.raises(ValueError, match="neither a folder with a model nor a registered name"):
        wish(str(tmp_path))
    with pytest.raises(ValueError, match="has no version with the alias 'champion'"):
        find(wish("nobody"))
    assert wish("a@b").alias == "b"
