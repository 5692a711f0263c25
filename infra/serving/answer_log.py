"""Answers kept as a future source of data: only with consent, and without personal data.

The rows are dialogues in OpenAI's form, or a prompt and its completion, so that
`bloomery data add NAME FOLDER --as instructions` reads them.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from components.core.settings import settings
from infra.serving.lines import Lines
from infra.serving.protocol import ChatRequest, CompletionRequest

Consent = Literal["none", "asked", "all"]
"""Whose answers are kept: nobody's; of requests that say `"store": true`; everybody's."""


class _Row(NamedTuple):
    """An answer that may be kept."""

    id: str
    label: str
    asked: CompletionRequest | ChatRequest
    texts: Sequence[str]


class AnswerLog:
    """The log of a server."""

    def __init__(self, consent: Consent) -> None:
        """Keep what there is consent to."""
        self._consent = consent
        self._lines = Lines[_Row](_file, _text) if consent != "none" else None

    def add(
        self,
        id_: str,
        label: str,
        asked: CompletionRequest | ChatRequest,
        texts: Sequence[str],
    ) -> None:
        """Keep the answers of a request, if that may be."""
        if self._lines is not None and (self._consent == "all" or asked.store):
            self._lines.add(_Row(id_, label, asked, texts))

    def close(self) -> None:
        """Write what waits."""
        if self._lines is not None:
            self._lines.close()


def log_folder() -> Path:
    """Return where the answers are kept."""
    return settings().home.resolve() / "serving" / "answers"


def _file() -> Path:
    return log_folder() / f"{datetime.now(UTC):%Y-%m-%d}.jsonl"


def _text(row: _Row) -> str:
    """Return the lines of a row, masked. Runs in the thread of the file."""
    lines = [json.dumps(_masked(each), ensure_ascii=False) for each in _rows(row)]
    return "\n".join(lines)


def _rows(row: _Row) -> list[dict[str, Any]]:
    about = {"id": row.id, "model": row.label}
    if isinstance(row.asked, ChatRequest):
        said = [message.for_template() for message in row.asked.messages]
        tools = {"tools": tools} if (tools := row.asked.schemas()) else {}
        return [
            {**about, "messages": [*said, {"role": "assistant", "content": text}], **tools}
            for text in row.texts
        ]
    prompts = row.asked.prompts()
    each = len(row.texts) // len(prompts)
    return [
        {**about, "prompt": prompt, "completion": text}
        for prompt, text in zip((p for p in prompts for _ in range(each)), row.texts, strict=True)
        if isinstance(prompt, str)  # of tokens nobody can say whether they are personal
    ]


def _masked(value: Any) -> Any:
    """Return a value with placeholders where a text in it has personal data."""
    from components.data.mask import Mask
    from components.data.personal.detect import mask

    if isinstance(value, str):
        rules = Mask()
        return mask(value, rules.kinds, rules.regions).text
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return value
