"""Too much, too long, too slow, gone: a clear answer, and the server goes on."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from openai import RateLimitError

from infra.serving.keys import read_keys
from infra.serving.options import Limits
from tests.infra.serving.parrots import Live, events, serving, until

LONG = {"prompt": "one", "max_tokens": 200, "temperature": 0}
ENDLESS = {"prompt": "one", "max_tokens": 3000, "temperature": 0, "ignore_eos": True}


@pytest.fixture(scope="module")
def tight(parrots):
    """A server with little of everything."""
    limits = Limits(
        num_slots=2,
        max_waiting=1,
        max_body_bytes=20_000,
        body_seconds=0.5,
        idle_seconds=1,
        answer_seconds=60,
    )
    with serving(f"polly={parrots[0]}", limits=limits) as live:
        yield live


def answers(live: Live) -> bool:
    until(lambda: live.running() == 0)
    reply = live.post("/v1/completions", json={"prompt": "a", "max_tokens": 2})
    return reply.status_code == 200


@contextmanager
def connected(live: Live):
    host, _, port = live.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as found:
        yield found


def head(length: int, path: str = "/v1/completions") -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {length}\r\n\r\n".encode()


def test_who_comes_when_the_queue_is_full_is_told_when_to_come_again(tight):
    def ask(_: int) -> httpx.Response:
        return tight.post("/v1/completions", json=LONG)

    with ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(ask, range(12)))
    found = [reply.status_code for reply in replies]
    assert set(found) == {200, 429}
    assert found.count(200) >= 3
    refused = next(reply for reply in replies if reply.status_code == 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert "wait" in refused.json()["error"]["message"]
    whole = {reply.text.partition('"text":')[2][:200] for reply in replies if reply.is_success}
    assert len(whole) == 1
    with pytest.raises(RateLimitError):
        tight.openai().completions.create(model="polly", prompt=["a"] * 4)
    assert answers(tight)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_frees_its_slot(tight, stream):
    made = tight.metric("bloomery_completion_tokens_total")
    body = json.dumps({**ENDLESS, "stream": stream}).encode()
    for _ in range(2):
        with connected(tight) as connection:
            connection.sendall(head(len(body)) + body)
            until(lambda: tight.running() >= 1)
    until(lambda: tight.running() == 0, seconds=10)
    assert answers(tight)
    until(lambda: tight.metric("bloomery_requests_total", status="499") >= 2)
    assert tight.metric("bloomery_completion_tokens_total") - made < 2 * ENDLESS["max_tokens"]


def test_a_body_of_100_mb_is_refused_before_it_is_read(tight):
    with connected(tight) as connection:
        connection.sendall(head(100 << 20) + b"x" * 1000)
        reply = connection.recv(65536)
    assert reply.startswith(b"HTTP/1.1 413")
    assert b"larger than 20,000 bytes" in reply
    with connected(tight) as connection:  # and one whose size is not said
        chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
        start = head(0).replace(b"content-length: 0", b"transfer-encoding: chunked")
        connection.sendall(start + chunk * 6)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")
    assert answers(tight)


def test_a_body_that_does_not_come_is_not_waited_for(tight):
    with connected(tight) as connection:
        connection.sendall(head(1000) + b"{")
        begun = time.monotonic()
        assert connection.recv(65536).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - begun < 30
    with connected(tight) as connection:  # a client that goes away in the middle
        connection.sendall(head(1000) + b"{")
    assert answers(tight)


def test_a_thousand_connections_that_ask_for_nothing_are_closed_and_hurt_nobody(tight):
    host, _, port = tight.url.removeprefix("http://").partition(":")
    idle = [socket.create_connection((host, int(port)), timeout=30) for _ in range(1000)]
    for half in idle[:100]:
        half.sendall(b"POST /v1/compl")
    assert answers(tight)
    assert [each.recv(1) for each in idle[::50]] == [b""] * 20
    for each in idle:
        each.close()
    assert answers(tight)


def test_a_slow_reader_stalls_nobody_and_is_cut_off(parrots):
    limits = Limits(num_slots=2, answer_seconds=1.0)
    with serving(f"polly={parrots[0]}", limits=limits) as live, connected(live) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        body = b'{"prompt": "one", "max_tokens": 200, "stream": true, "logprobs": 20, "n": 2}'
        slow.sendall(head(len(body)) + body)
        until(lambda: live.running() == 2)
        until(lambda: live.running() == 0, seconds=20)  # it was made, or cut off
        quick = {"prompt": "a", "max_tokens": 3}
        assert live.post("/v1/completions", json=quick).status_code == 200
        until(lambda: live.metric("bloomery_requests_in_flight") <= 0, seconds=20)


def test_an_answer_that_takes_too_long_ends_with_the_reason(parrots):
    limits = Limits(answer_seconds=0.02)
    with serving(f"polly={parrots[0]}", limits=limits) as live:
        reply = live.post("/v1/completions", json=ENDLESS)
        assert reply.status_code == 504
        assert "more than 0.02 seconds" in reply.json()["error"]["message"]
        body = {**ENDLESS, "stream": True}
        with httpx.stream("POST", f"{live.url}/v1/completions", json=body) as stream:
            text = "".join(stream.iter_lines())
        assert "more than 0.02 seconds" in text
        assert "[DONE]" not in text
        until(lambda: live.running() == 0)


def test_long_bodies_are_read_while_answers_go_on(parrots):
    with serving(f"polly={parrots[0]}") as live:
        text = "word " * 100_000
        replies: list[int] = []

        def asks() -> None:
            replies.append(live.post("/v1/completions", json={"prompt": text}).status_code)

        threads = [threading.Thread(target=asks) for _ in range(3)]
        for thread in threads:
            thread.start()
        body = {**LONG, "max_tokens": 30, "stream": True}
        with httpx.stream("POST", f"{live.url}/v1/completions", json=body) as stream:
            assert len(events(stream)) > 10
        for thread in threads:
            thread.join(60)
        assert replies == [400] * 3


def test_as_many_tokens_are_made_as_the_server_allows(parrots):
    limits = Limits(max_new_tokens=7, default_new_tokens=5)
    with serving(f"polly={parrots[0]}", limits=limits) as live:
        for given, number in (({"max_tokens": 100}, 7), ({}, 5)):
            body = {"prompt": "one", "ignore_eos": True, **given}
            found = live.post("/v1/completions", json=body).json()
            assert found["usage"]["completion_tokens"] == number


def test_a_file_of_keys_that_others_read_or_that_is_wrong_is_refused(tmp_path):
    file = tmp_path / "keys"
    file.write_text("anna a-key-of-many-letters  # hers\n\nanother-key-of-letters\n")
    file.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        read_keys(file)
    file.chmod(0o600)
    keys = read_keys(file)
    given = {b"authorization": b"Bearer a-key-of-many-letters"}
    assert (len(keys), keys.client(given)) == (2, "anna")
    for wrong in ("anna short", "# none", "a b c"):
        file.write_text(wrong)
        with pytest.raises(ValueError, match="keys"):
            read_keys(file)
