"""Canaries and shadows: other versions of a model that get a part of its requests.

A canary answers its part. A shadow is asked the same after the answer was given, when it has
nothing else to do, and answers nobody. What came of both is kept (`components.lib.inference.
serving_scores`), with the scores that clients give by `POST /v1/feedback`.
"""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import Literal

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.lib.inference.serving_scores import Role, Score, scores_file
from infra.serving.answering import Answers
from infra.serving.found import Found
from infra.serving.lines import Lines

_KNOWN = 10_000  # answers that feedback may name


class Share(Frozen):
    """A part of a model's requests that another version gets."""

    name: str
    """Model whose requests are shared."""
    alias: str
    """Alias of the version that gets them; without one in MLflow nothing is shared."""
    kind: Literal["canary", "shadow"]
    """Whether it answers, or is only asked too."""
    part: float = Field(gt=0, le=1)
    """How many of the requests."""

    @property
    def served(self) -> str:
        """Name under which that version is served."""
        return f"{self.name}@{self.alias}"


def share(words: str, kind: Literal["canary", "shadow"]) -> Share:
    """Return what the command line says, NAME@ALIAS=PART.

    Raises:
        ValueError: it is no such thing.
    """
    served, _, part = words.partition("=")
    name, _, alias = served.partition("@")
    try:
        return Share(name=name, alias=alias or kind, kind=kind, part=float(part))
    except ValueError:
        raise ValueError(
            f"--{kind} {words} is not NAME@ALIAS=PART, with a part above 0 and up to 1."
        ) from None


class Shares:
    """Who gets which request, and what came of it."""

    def __init__(self, shares: Sequence[Share]) -> None:
        """Share as is said.

        Raises:
            ValueError: the canaries of a model would get more than all.
        """
        self._shares = tuple(shares)
        self._lines = Lines[Score](scores_file, lambda row: row.model_dump_json())
        self._known = OrderedDict[str, tuple[str, str, Role]]()
        for name in {each.name for each in shares}:
            parts = sum(e.part for e in shares if e.name == name and e.kind == "canary")
            if parts > 1:
                raise ValueError(f"The canaries of {name} get {parts:g} of its requests.")

    def concerns(self, name: str) -> bool:
        """Return whether something is shared of a model, so that scores are kept."""
        return any(each.name == name for each in self._shares)

    def canary(self, name: str, user: str | None) -> str | None:
        """Return who answers instead of `name`: for one user always the same."""
        place = _place(user)
        for each in self._shares:
            if each.name == name and each.kind == "canary":
                if place < each.part:
                    return each.served
                place -= each.part
        return None

    def shadows(self, name: str, user: str | None) -> list[str]:
        """Return who is asked too."""
        shadows = [e for e in self._shares if e.name == name and e.kind == "shadow"]
        return [each.served for each in shadows if _place(user) < each.part]

    def answered(
        self, request: str, name: str, found: Found, role: Role, answers: Answers, is_error: bool
    ) -> None:
        """Know a request, and keep what came of it where a model is shared."""
        self._know(request, (name, found.version, role))
        if self.concerns(name):
            self.add(scored(request, name, found, role, answers, is_error))

    def add(self, row: Score) -> None:
        """Keep a row."""
        self._lines.add(row)

    def judged(self, request: str, feedback: float) -> bool:
        """Keep the score that a client gives to an answer; return whether it is known."""
        if (known := self._known.get(request)) is None:
            return False
        name, version, role = known
        row = Score(
            when=datetime.now(UTC),
            request=request,
            name=name,
            version=version,
            role=role,
            feedback=feedback,
        )
        self.add(row)
        return True

    def close(self) -> None:
        """Write what waits."""
        self._lines.close()

    def _know(self, request: str, who: tuple[str, str, Role]) -> None:
        self._known[request] = who
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)


def scored(
    request: str, name: str, found: Found, role: Role, answers: Answers, is_error: bool
) -> Score:
    """Return what came of the answers of one version."""
    timing = answers.timing()
    nats = sum(answers.nats) / timing.num_tokens if any(answers.nats) else None
    return Score(
        when=datetime.now(UTC),
        request=request,
        name=name,
        version=found.version,
        role=role,
        num_tokens=timing.num_tokens,
        first_seconds=None if timing.first is None else timing.first - timing.began,
        seconds=None if timing.last is None else timing.last - timing.began,
        nats=nats,
        is_error=is_error,
    )


def agreement(main: Sequence[str], other: Sequence[str]) -> float:
    """Return the share of the main answers' text that the others begin with."""
    same = sum(map(_num_same, main, other))
    whole = sum(max(len(one), len(two)) for one, two in zip(main, other, strict=True))
    return same / whole if whole else 1.0


def _num_same(one: str, two: str) -> int:
    """Return how many characters two texts begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, two, strict=False)))


def _place(user: str | None) -> float:
    """Return a number in [0, 1), for one user always the same."""
    seed = user.encode() if user else os.urandom(16)
    return int.from_bytes(hashlib.sha256(seed).digest()[:8], "big") / 2**64
