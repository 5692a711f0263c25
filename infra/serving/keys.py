"""Keys of the clients: `Authorization: Bearer KEY`, as OpenAI's clients send it."""

import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path

from infra.serving.refusals import Refusal

_LEAST = 16  # characters of a key


class Keys:
    """Who may ask. Only hashes are kept."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        """Let these in, by the name of each client; without any everybody is."""
        self._hashes = {name: _hash(key) for name, key in keys.items()}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._hashes)

    def client(self, headers: Mapping[bytes, bytes]) -> str:
        """Return the name of the client that a request is from; empty where all are let in.

        Raises:
            Refusal: it has no key, or another.
        """
        if not self._hashes:
            return ""
        kind, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        given, found = _hash(key.strip()), None
        for name, known in self._hashes.items():  # all of them, so that time tells nothing
            if hmac.compare_digest(known, given):
                found = name
        if kind.lower() != "bearer" or found is None:
            raise Refusal(401, "A key is needed: `Authorization: Bearer KEY`.", "invalid_api_key")
        return found


def read_keys(file: Path) -> Keys:
    """Return the keys in a file, one a line, `NAME KEY` or `KEY`; `#` begins a comment.

    Raises:
        ValueError: others can read the file, or a key is short, or there is none.
    """
    if file.stat().st_mode & 0o077:
        raise ValueError(f"Others can read {file}, which holds keys: chmod 600 {file}")
    keys: dict[str, str] = {}
    for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1):
        if not (words := line.partition("#")[0].split()):
            continue
        name, key = words if len(words) == 2 else (f"line {number}", words[0])
        if len(words) > 2 or len(key) < _LEAST:
            raise ValueError(
                f"{file}, line {number}: write `NAME KEY`, the key of {_LEAST} characters or more."
            )
        keys[name] = key
    if not keys:
        raise ValueError(f"{file} holds no key: write a line `NAME KEY`, or leave the option out.")
    return Keys(keys)


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
