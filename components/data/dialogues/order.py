"""What has to hold of the messages of a dialogue: who may speak after whom, and not in vain."""

from collections.abc import Sequence

from components.data.dialogues.refused import Refused
from components.lib.text.dialogue import Message

_AFTER = {
    "": ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),  # a model may write its call into its text
    "assistant that calls": ("tool",),
    "tool": ("tool", "assistant"),
}


def answered(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return the messages up to the last answer: what comes after it teaches nothing.

    Raises:
        Refused: they are no dialogue, or nothing is answered.
    """
    answers = [place for place, each in enumerate(messages) if each.role == "assistant"]
    if not answers:
        raise Refused("no answer", f"roles: {_roles(messages) or 'none'}")
    kept = tuple(messages[: answers[-1] + 1])
    check_order(kept)
    return kept


def check_order(messages: Sequence[Message]) -> None:
    """Raise Refused where a message may not follow the one before, or says nothing."""
    before = ""
    for message in messages:
        if message.role not in _AFTER[before]:
            starts = before in ("", "system") and message.role == "assistant"
            reason = "starts with an assistant" if starts else "roles out of order"
            raise Refused(reason, f"{message.role} after {before or 'nothing'}: {_roles(messages)}")
        _check_content(message)
        before = "assistant that calls" if message.tool_calls else message.role


def _check_content(message: Message) -> None:
    if message.content.strip() or message.tool_calls or message.role == "tool":
        return
    reason = "empty answer" if message.role == "assistant" else "empty prompt"
    raise Refused(reason, f"the {message.role} says nothing")


def _roles(messages: Sequence[Message]) -> str:
    return ", ".join(message.role for message in messages)
