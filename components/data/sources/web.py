"""HTTP(S): a download that retries, waits as long as it is asked to, and resumes."""

import hashlib
import json
import logging
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit

from components.core.files import write_json
from components.data.sources.addresses import check_url, is_inside, is_inside_address, is_proxied
from components.data.sources.files import blob_of_file
from components.data.sources.source import Blob, Reading, without_credentials

if TYPE_CHECKING:
    import httpx

NUM_ATTEMPTS = 6
FIRST_WAIT = 1.0
"""Seconds before the second attempt; each next one waits up to twice as long."""
_MAX_WAIT = 300.0
_TIMEOUT = 30.0
_MAX_REDIRECTS = 10
_SECONDS = 5.0  # between two lines of progress
_WORTH_ANOTHER = frozenset({408, 425, 429, 500, 502, 503, 504})
_SUFFIX = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/plain": ".txt",
    "text/markdown": ".md",
    "text/csv": ".csv",
    "application/json": ".json",
    "application/jsonl": ".jsonl",
    "application/x-ndjson": ".jsonl",
    "application/gzip": ".gz",
    "application/zip": ".zip",
    "application/warc": ".warc",
    "application/vnd.apache.parquet": ".parquet",
}
_ETC = frozenset({"", ".php", ".asp", ".aspx", ".cgi"})

log = logging.getLogger(__name__)
logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs URLs with all their secrets


class _Again(Exception):
    """An attempt that failed in a way that may pass; holds the seconds to wait, if it was told."""

    def __init__(self, problem: str, wait: float | None = None) -> None:
        super().__init__(problem)
        self.wait = wait


@dataclass(frozen=True)
class _Download:
    """A file that is on its way, and what proves that the rest is of the same one."""

    url: str
    folder: Path

    @property
    def part(self) -> Path:
        return self.folder / "part"

    @property
    def whole(self) -> Path:
        return self.folder / "whole"

    def known(self) -> dict[str, str]:
        file = self.folder / "known.json"
        return json.loads(file.read_text("utf-8")) if file.exists() else {}


def downloaded(reading: Reading) -> Iterator[Blob]:
    """Yield the file at a URL, downloaded, and remove it when it has been read.

    A download that was broken off goes on where it was, if the server proves by ETag or
    Last-Modified that it still is the same file. Raises ValueError if it cannot be had.
    """
    url = reading.source.location
    key = hashlib.sha256(url.encode()).hexdigest()[:32]
    download = _Download(url, reading.state / "downloads" / key)
    download.folder.mkdir(parents=True, exist_ok=True)
    try:
        _fetch_patiently(download)
    except _Again as error:
        raise ValueError(
            f"{without_credentials(url)} could not be had in {NUM_ATTEMPTS} attempts: {error}. The "
            "same command goes on where this one stopped"
        ) from error
    content_type = download.known().get("content-type", "").partition(";")[0].strip().lower()
    name = _name(url, content_type)
    blob = blob_of_file(reading, download.whole, name, without_credentials(url))
    yield replace(blob, metadata={"content_type": content_type} if content_type else {})
    for file in (download.whole, download.folder / "known.json"):
        file.unlink(missing_ok=True)
    download.folder.rmdir()


def _name(url: str, content_type: str) -> str:
    """Return a file name: the URL's last part, with the type's suffix where it tells nothing."""
    parts = urlsplit(url)
    name = unquote(parts.path).replace("\\", "/").rstrip("/").rpartition("/")[2]
    name = name or parts.hostname or "index"
    suffix = Path(name).suffix.lower() if parts.path.strip("/") else ""
    return name + _SUFFIX.get(content_type, "") if suffix in _ETC else name


def _fetch_patiently(download: _Download) -> None:
    failed, size = 0, -1
    while True:
        try:
            return _fetch(download)
        except _Again as error:
            now = download.part.stat().st_size if download.part.exists() else 0
            failed = 1 if now > size >= 0 else failed + 1  # what goes forward is not given up
            size = now
            if failed >= NUM_ATTEMPTS:
                raise
            wait = wait_before(failed, error.wait)
            place = without_credentials(download.url)
            log.warning("%s: %s; again in %.1f s, from byte %d", place, error, wait, now)
            time.sleep(wait)


def wait_before(failed: int, asked: float | None) -> float:
    """Return the seconds to wait after so many failures, or those that a server asked for."""
    if asked is not None:
        return min(_MAX_WAIT, asked)
    return min(_MAX_WAIT, FIRST_WAIT * 2 ** (failed - 1)) * random.uniform(0.5, 1)


def _fetch(download: _Download) -> None:
    """Make one attempt. Raises _Again, or ValueError for what will not pass."""
    import httpx

    known = download.known()
    offset = download.part.stat().st_size if download.part.exists() else 0
    validator = known.get("etag") or known.get("last-modified")
    headers = {"Accept-Encoding": "identity", "User-Agent": "bloomery"}
    if offset and validator and not validator.startswith("W/"):
        headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
    try:
        with httpx.Client(timeout=_TIMEOUT, follow_redirects=False) as client:
            response = follow(client, download.url, headers)
            try:
                _take(download, response, offset)
            finally:
                response.close()
    except httpx.TransportError as error:
        raise _Again(f"{type(error).__name__} {error}".strip()) from error
    except httpx.InvalidURL as error:
        raise ValueError(f"{without_credentials(download.url)} is no URL: {error}") from error


def follow(client: "httpx.Client", url: str, headers: dict[str, str]) -> "httpx.Response":
    """Send the request, and again where a redirect leads that may be followed."""
    given = urlsplit(url)
    if not given.hostname:
        raise ValueError(f"{url!r} names no host: write https://HOST/PATH")
    try:
        may_be_inside = is_proxied(given.scheme, given.hostname) or is_inside(given.hostname)
    except ValueError as error:  # a name server may be back soon
        raise _Again(str(error)) from error
    for _ in range(_MAX_REDIRECTS):
        response = client.send(client.build_request("GET", url, headers=headers), stream=True)
        try:
            _check_peer(response, may_be_inside)
            if not response.has_redirect_location:
                return response
            response.close()
            url = urljoin(url, response.headers["location"])
            check_url(url, may_be_inside)
        except ValueError as error:
            response.close()
            raise ValueError(
                f"{without_credentials(given.geturl())} is refused: {error}"
            ) from error
    raise ValueError(f"{without_credentials(given.geturl())}: more than {_MAX_REDIRECTS} redirects")


def _check_peer(response: "httpx.Response", may_be_inside: bool) -> None:
    """Raise ValueError if a name was answered otherwise when the connection was made."""
    stream = response.extensions.get("network_stream")
    peer = stream.get_extra_info("server_addr") if stream is not None else None
    if may_be_inside or peer is None or is_proxied(response.url.scheme, response.url.host):
        return
    if is_inside_address(peer[0]):
        raise ValueError(f"{response.url.host} is at {peer[0]}, a private address")


def _take(download: _Download, response: "httpx.Response", offset: int) -> None:
    """Append the body to what is there, or begin again; it is called whole at its end."""
    code, start = response.status_code, response.headers.get("content-range", "")
    if code in _WORTH_ANOTHER:
        raise _Again(f"HTTP {code}", retry_after(response.headers.get("retry-after", "")))
    if code == 416 or (code == 206 and not start.startswith(f"bytes {offset}-")):
        download.part.unlink(missing_ok=True)
        raise _Again(f"HTTP {code}: another range than was asked", 0)
    if code not in (200, 206):
        raise ValueError(
            f"{without_credentials(download.url)} answers HTTP {code}: look at it in a browser"
        )
    kept = ("etag", "last-modified", "content-type")
    known = {name: response.headers[name] for name in kept if name in response.headers}
    if code == 200:
        download.part.unlink(missing_ok=True)
        write_json(download.folder / "known.json", known)
    said = time.monotonic()
    with download.part.open("ab") as file:
        for block in response.iter_raw():
            file.write(block)
            if time.monotonic() - said > _SECONDS:
                said = time.monotonic()
                place = without_credentials(download.url)
                log.info("%s: %.1f MB downloaded", place, file.tell() / 1e6)
    download.part.replace(download.whole)


def retry_after(value: str) -> float | None:
    """Return the seconds that a Retry-After header asks for, in either of its forms."""
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
