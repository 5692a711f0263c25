"""Downloads from a server that misbehaves in every way that servers do."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from components.data.sources import addresses, web
from components.data.sources.reading import read
from components.data.sources.source import Reading, Source

PUBLIC = "93.184.216.34"  # an address of the internet that nothing here calls
LINES = b"".join(b'{"text": "document %d"}\n' % number for number in range(5000))


LINES_TYPE = "application/x-ndjson; charset=utf-8"


class Server(ThreadingHTTPServer):
    """Answers GET with what a test put into `answers`, one after the other, and keeps requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list = []
        self.requests: list[dict[str, str]] = []

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that hang up: these do."""

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.requests.append(dict(self.headers))
        answer = self.server.answers.pop(0) if self.server.answers else whole
        answer(self)

    def log_message(self, *_: object) -> None:
        pass


def send(
    handler: Handler, code: int, body: bytes = b"", length: int | None = None, **headers
) -> None:
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


def whole(handler: Handler) -> None:
    """Send the file, or the range that is asked of it."""
    asked = handler.headers.get("Range", "")
    if handler.headers.get("If-Range") == '"v1"' and asked:
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        rest = f"bytes {start}-{len(LINES) - 1}/{len(LINES)}"
        send(handler, 206, LINES[start:], ETag='"v1"', Content_Range=rest)
    else:
        send(handler, 200, LINES, ETag='"v1"', Content_Type=LINES_TYPE)


def broken_off(handler: Handler) -> None:
    send(handler, 200, LINES[:60_000], len(LINES), ETag='"v1"', Content_Type=LINES_TYPE)
    handler.close_connection = True


def status(code: int, **headers):
    return lambda handler: send(handler, code, b"no", **headers)


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setattr(web, "FIRST_WAIT", 0.01)
    found = Server()
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


@pytest.fixture
def fetch(server, tmp_path):
    def fetched(path="/data", **how):
        source = Source(location=server.url(path), **how)
        return list(read(Reading(source, "mine", tmp_path)))

    return fetched


def test_a_file_is_had_with_its_type_and_nothing_of_the_download_is_left(server, fetch, tmp_path):
    found = fetch("/corpora/news?token=secret&id=5")
    assert len(found) == 5000
    assert found[0].id == "mine/news.jsonl#1"
    assert found[0].metadata == {
        "source": server.url("/corpora/news?id=5"),
        "row": 1,
        "content_type": "application/x-ndjson",
    }
    assert not list((tmp_path / "downloads").iterdir())


def test_busy_servers_are_asked_again_after_the_time_they_ask_for(server, fetch):
    server.answers = [status(500), status(429, Retry_After="1"), status(504)]
    start = time.monotonic()
    assert len(fetch()) == 5000
    assert 1 <= time.monotonic() - start < 20
    assert len(server.requests) == 4


def test_the_wait_doubles_unless_a_server_says_how_long_and_has_an_end():
    for failed in (1, 2, 3):
        longest = web.FIRST_WAIT * 2 ** (failed - 1)
        assert longest / 2 <= web.wait_before(failed, None) <= longest
    assert web.wait_before(1, web.retry_after("7")) == 7
    far = web.retry_after("Fri, 01 Jan 2100 00:00:00 GMT")
    assert web.wait_before(1, far) == web.wait_before(20, 1e9) == 300
    assert web.retry_after("soon") is None


def test_a_download_that_breaks_off_goes_on_where_it_was(server, fetch):
    server.answers = [broken_off]
    assert [document.text for document in fetch()] == [f"document {n}" for n in range(5000)]
    assert server.requests[1]["Range"] == "bytes=60000-"
    assert server.requests[1]["If-Range"] == '"v1"'


def test_a_download_of_a_killed_process_goes_on_in_the_next(server, fetch):
    server.answers = [broken_off, *[status(500)] * web.NUM_ATTEMPTS]
    with pytest.raises(ValueError, match=r"in 6 attempts: HTTP 500. The same command goes on"):
        fetch()
    server.requests.clear()
    assert len(fetch()) == 5000
    assert server.requests[0]["Range"] == "bytes=60000-"


def test_a_file_that_was_replaced_meanwhile_is_begun_anew(server, fetch):
    def replaced(handler: Handler) -> None:
        send(handler, 200, b'{"text": "new"}\n', ETag='"v2"')

    server.answers = [broken_off, replaced]
    assert [document.text for document in fetch("/a.jsonl")] == ["new"]


def test_a_server_that_hangs_is_left_and_asked_again(server, fetch, monkeypatch):
    monkeypatch.setattr(web, "_TIMEOUT", 0.3)
    silence = threading.Event()
    server.answers = [lambda handler: silence.wait(20)]
    assert len(fetch()) == 5000
    silence.set()


@pytest.mark.parametrize("code", [403, 404, 410])
def test_a_refusal_is_not_repeated(server, fetch, code):
    server.answers = [status(code)]
    with pytest.raises(ValueError, match=f"answers HTTP {code}"):
        fetch()
    assert len(server.requests) == 1


def test_a_redirect_is_followed_and_one_to_a_file_or_in_a_circle_is_not(server, fetch, tmp_path):
    server.answers = [status(302, Location="/elsewhere")]
    assert len(fetch()) == 5000
    (tmp_path / "secret.txt").write_text("secret")
    server.answers = [status(302, Location=f"file://{tmp_path}/secret.txt")]
    with pytest.raises(ValueError, match=r"is refused: it leads to file://"):
        fetch()
    server.answers = [status(302, Location="/again")] * 20
    with pytest.raises(ValueError, match="more than 10 redirects"):
        fetch()


@pytest.mark.parametrize(
    "inside",
    ["http://169.254.169.254/latest", "http://127.0.0.1:1/", "http://[::1]/", "http://10.0.0.1/a"],
)
def test_a_redirect_from_outside_to_a_private_address_is_refused(
    inside,
):
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(302, headers={"Location": inside})

    with (
        httpx.Client(transport=httpx.MockTransport(answer)) as client,
        pytest.raises(ValueError, match="a private address: give that URL yourself"),
    ):
        web.follow(client, f"http://{PUBLIC}/a.txt", {})
    assert asked == [PUBLIC]


class Connection:
    """What httpx says of a connection that was made to this machine."""

    def get_extra_info(self, name: str) -> object:
        return ("127.0.0.1", 80) if name == "server_addr" else None


def test_a_name_that_turns_private_when_it_is_called_is_refused():
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"secret", extensions={"network_stream": Connection()})

    with (
        httpx.Client(transport=httpx.MockTransport(answer)) as client,
        pytest.raises(ValueError, match=rf"{PUBLIC} is at 127\.0\.0\.1, a private address"),
    ):
        web.follow(client, f"http://{PUBLIC}/a.txt", {})


@pytest.mark.parametrize(
    ("address", "is_inside"),
    [
        ("127.0.0.1", True),
        ("169.254.169.254", True),
        ("::ffff:10.0.0.1", True),
        ("fe80::1%eth0", True),
        ("fd00::1", True),
        ("0.0.0.0", True),
        ("100.64.0.1", True),
        ("8.8.8.8", False),
        ("2606:4700::1111", False),
    ],
)
def test_addresses_are_told_apart(address, is_inside):
    assert addresses.is_inside_address(address) == is_inside


def test_a_host_that_does_not_exist_is_said_to_be_unreachable(tmp_path, monkeypatch):
    monkeypatch.setattr(web, "FIRST_WAIT", 0.01)
    reading = Reading(Source(location="http://nowhere.invalid/a.txt"), "mine", tmp_path)
    with pytest.raises(ValueError, match=r"6 attempts: no host 'nowhere\.invalid'"):
        list(read(reading))
