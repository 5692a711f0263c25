"""What an answer does beside saying something: it declines, or it calls tools."""

import json
import re
from collections.abc import Iterable

from components.lib.tasks.microtasks import UNKNOWN

_DECLINES = re.compile(
    r"^\W*(i['\u2019]?m|i am) (very |so )?(sorry|afraid|unable|not able)"
    r"|^\W*i (can['\u2019]?t|cannot|can not|won['\u2019]?t|will not|don['\u2019]?t know)\b"
    r"|^\W*(sorry|as an ai|unfortunately)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r'"name"\s*:\s*("(?:[^"\\]|\\.)*")')
_ARGUMENTS = re.compile(r'"(arguments|parameters)"\s*:')


def declines(answer: str) -> bool:
    """Whether an answer is a refusal or says that it does not know: English, and micro-tasks'."""
    return answer.strip().lower().rstrip(".") == UNKNOWN or _DECLINES.search(answer) is not None


def called_tools(answer: str) -> tuple[str, ...]:
    """Return the names of the tools that an answer calls: JSON with a name and arguments."""
    if not _ARGUMENTS.search(answer):
        return ()
    return tuple(json.loads(found) for found in _NAME.findall(answer))


def kept(before: Iterable[object], after: Iterable[object]) -> float | None:
    """Return the share of what `before` has, where it has something, that `after` has too.

    None where it has nothing at all.
    """
    pairs = [(old, new) for old, new in zip(before, after, strict=True) if old]
    return sum(old == new for old, new in pairs) / len(pairs) if pairs else None
