"""What is known of the versions that share a model's requests, from `serving/scores.jsonl`.

The server appends a row for every answer of a model that a canary or a shadow stands beside, and
for every score that a client gives. Who decides on a promotion reads them here.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from statistics import fmean, median
from typing import Literal

from pydantic import ValidationError

from components.core.artifacts.base import Frozen
from components.core.settings import settings

logger = logging.getLogger(__name__)

Role = Literal["main", "canary", "shadow"]


class Score(Frozen):
    """An answer of one version, or what somebody thought of it."""

    when: datetime
    """UTC."""
    request: str
    """Id of the answer; of a shadow's, the answer that it stands beside."""
    name: str
    """Registered model."""
    version: str
    """Its version."""
    role: Role
    """`main` has the alias that was asked for; a `shadow` answers nobody."""
    num_tokens: int = 0
    """Tokens made."""
    first_seconds: float | None = None
    """Until the first of them."""
    seconds: float | None = None
    """Until the last of them."""
    nats: float | None = None
    """Mean negative log probability of its own tokens, by itself."""
    is_error: bool = False
    """Whether the model failed."""
    agreement: float | None = None
    """Of a shadow: share of the text of the main answer that it begins with, if both are greedy or
    drawn with one seed."""
    feedback: float | None = None
    """Score that a client gave, in a row of its own."""


class Summary(Frozen):
    """What the rows of a version in a role say."""

    name: str
    """Registered model."""
    version: str
    """Its version."""
    role: Role
    """What it did."""
    num_answers: int
    """Answers, errors among them."""
    num_errors: int
    """Answers that failed."""
    first_seconds: float | None
    """Median time to the first token."""
    nats: float | None
    """Mean over answers."""
    agreement: float | None
    """Mean over a shadow's answers."""
    num_feedback: int
    """Scores that clients gave."""
    feedback: float | None
    """Their mean."""


def scores_file() -> Path:
    """Return where the server keeps the rows."""
    return settings().home.resolve() / "serving" / "scores.jsonl"


def read_scores(name: str | None = None, since: datetime | None = None) -> Iterator[Score]:
    """Yield the rows of a model, or of all; a line that is not whole yet is passed over."""
    file = scores_file()
    if not file.exists():
        return
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                row = Score.model_validate_json(line)
            except ValidationError:
                logger.debug("no score: %s", line[:200])
                continue
            if name in (None, row.name) and (since is None or row.when >= since):
                yield row


def summaries(rows: Iterable[Score]) -> list[Summary]:
    """Return what the rows say of each version in each role."""
    grouped = defaultdict[tuple[str, str, Role], list[Score]](list)
    for row in rows:
        grouped[row.name, row.version, row.role].append(row)
    return [_summary(key, grouped[key]) for key in sorted(grouped)]


def _summary(key: tuple[str, str, Role], rows: Sequence[Score]) -> Summary:
    answers = [row for row in rows if row.feedback is None]
    given = [row.feedback for row in rows if row.feedback is not None]
    firsts = [row.first_seconds for row in answers if row.first_seconds is not None]
    nats = [row.nats for row in answers if row.nats is not None]
    agreements = [row.agreement for row in answers if row.agreement is not None]
    return Summary(
        name=key[0],
        version=key[1],
        role=key[2],
        num_answers=len(answers),
        num_errors=sum(row.is_error for row in answers),
        first_seconds=median(firsts) if firsts else None,
        nats=fmean(nats) if nats else None,
        agreement=fmean(agreements) if agreements else None,
        num_feedback=len(given),
        feedback=fmean(given) if given else None,
    )
