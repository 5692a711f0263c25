"""Whose words a rendered dialogue holds: found for any chat template, and proved.

A template may move, trim or leave out what it is given. So the messages are rendered twice, as they
are and with marks around what each party says: where both texts are the same but for the marks,
these tell which characters are whose. An answer begins where the template's generation prompt for
the turns before it ends, and ends with the token that ends a turn.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from components.lib.text.chat import answer_end, render
from components.lib.text.dialogue import Dialogue, Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# code points that no text may interchange (Unicode, section 23.7)
_BEGIN, _END, _DIGITS = "\ufdd0", "\ufdd1", "\ufde0"
_MARKED = re.compile(r"\ufdd0([\ufde0-\ufdef]+)([^\ufdd0\ufdd1]*)\ufdd1")
_ANY_MARK = re.compile(r"[\ufdd0\ufdd1\ufde0-\ufdef]")
_OTHERS = frozenset({"system", "user", "tool"})
_TRIMMED = (frozenset(), frozenset({"assistant"}), _OTHERS, _OTHERS | {"assistant"})
_THINKING = re.compile(r"(</?think>)")  # templates cut answers there


class Piece(NamedTuple):
    """What one party says, or the frame that a template sets around it."""

    text: str
    """As it is printed."""
    message: int | None
    """Whose: the index of the message; None for the template's own."""


class Turns(NamedTuple):
    """A rendered dialogue, up to the end of its last answer."""

    pieces: list[Piece]
    """What it is made of, in order; no two parts of the frame stand side by side."""
    learnt: list[tuple[int, int]]
    """From where to where in the text each answer stands, its end included."""
    is_ended: bool
    """Whether the template itself sets a token after the last answer."""


class TurnFinder:
    """Finds the turns of dialogues in the text that a tokenizer's chat template makes of them."""

    def __init__(self, tokenizer: "PreTrainedTokenizerFast") -> None:
        """Look up how turns end.

        Raises:
            ValueError: the tokenizer has no chat template, or names no token that ends an answer.
        """
        self._tokenizer = tokenizer
        end = tokenizer.convert_ids_to_tokens(answer_end(tokenizer))
        ends = dict.fromkeys((str(end), str(tokenizer.eos_token)))
        self._ends = [token for token in ends if token != "None"]
        self._special = [t.content for t in tokenizer.added_tokens_decoder.values() if t.special]
        self._frames: dict[Any, list[Piece]] = {}
        self._openings: dict[Any, str] = {}
        self._shown: set[tuple[str, ...]] = {()}

    def find(self, dialogue: Dialogue) -> Turns:
        """Return whose words stand where.

        Raises:
            ValueError: the template refuses the dialogue, leaves a message out, or prints it so
                that an answer cannot be told from the rest.
        """
        self._require_tools(dialogue)
        pieces = self._pieces(dialogue)
        learnt = list(self._answers(dialogue, pieces))
        ends = [end for *_, end in learnt]
        reached = learnt[-1][1] + len(ends[-1] or "")
        spans = [(start, stop + len(end or "")) for start, stop, end in learnt]
        return Turns(list(_until(pieces, reached)), spans, ends[-1] is not None)

    def _require_tools(self, dialogue: Dialogue) -> None:
        if dialogue.tools in self._shown:
            return
        if self._text(dialogue, False) == self._text(dialogue, False, with_tools=False):
            raise ValueError(f"{self._template} does not show what tools there are.")
        self._shown.add(dialogue.tools)

    @property
    def _template(self) -> str:
        return f"The chat template of {self._tokenizer.name_or_path}"

    def _text(self, dialogue: Dialogue, is_open: bool, with_tools: bool = True) -> str:
        messages = [message.for_template() for message in dialogue.messages]
        tools = dialogue.schemas() if with_tools else None
        return render(self._tokenizer, messages, is_open, tools)

    def _pieces(self, dialogue: Dialogue) -> list[Piece]:
        """Return what the text is made of: by the frame of a dialogue alike, or by marks."""
        text = self._text(dialogue, False)
        shape = _shape(dialogue)
        if shape is not None and shape in self._frames:
            filled = _filled(self._frames[shape], dialogue)
            if "".join(piece.text for piece in filled) == text:
                return filled
        pieces = self._marked_pieces(dialogue, text)
        if shape is not None:
            self._frames[shape] = pieces
        return pieces

    def _marked_pieces(self, dialogue: Dialogue, text: str) -> list[Piece]:
        if _ANY_MARK.search(dialogue.model_dump_json()):
            raise ValueError("A message holds characters that are none (U+FDD0 to U+FDEF).")
        for trimmed in _TRIMMED:
            marks = _Marks(trimmed)
            marked = self._marked(dialogue, marks, is_open=False)
            if _ANY_MARK.sub("", marked) == text:
                self._require_all(dialogue, marked, marks)
                return list(_taken_apart(marked, marks))
        raise ValueError(
            f"{self._template} prints a message in a way that cannot be followed: it changes with "
            "what stands around its words."
        )

    def _marked(self, dialogue: Dialogue, marks: "_Marks", is_open: bool) -> str:
        messages = [marks.message(index, each) for index, each in enumerate(dialogue.messages)]
        return render(self._tokenizer, messages, is_open, dialogue.schemas())

    def _require_all(self, dialogue: Dialogue, marked: str, marks: "_Marks") -> None:
        """Require that each message is printed, and every call."""
        printed = {_number(found[1]) for found in _MARKED.finditer(marked)}
        told = {marks.owners[number] for number in printed}
        missing = marks.calls - printed
        if missing:
            raise ValueError(f"{self._template} does not print calls of tools.")
        for index, message in enumerate(dialogue.messages):
            if index not in told and (message.content.strip() or message.role == "assistant"):
                if not message.content.strip():
                    raise ValueError(f"Message {index + 1} ({message.role}) is empty.")
                raise ValueError(
                    f"{self._template} does not print message {index + 1} ({message.role})."
                )

    def _answers(
        self, dialogue: Dialogue, pieces: list[Piece]
    ) -> Iterator[tuple[int, int, str | None]]:
        """Yield where each answer begins and its words end, and what the end of the turn adds."""
        last = len(dialogue.messages) - 1
        starts = _starts(pieces)
        for index, message in enumerate(dialogue.messages):
            if message.role != "assistant":
                continue
            own = [place for place, piece in enumerate(pieces) if piece.message == index]
            first, final = own[0], own[-1]
            if {piece.message for piece in pieces[first:final]} - {index, None}:
                raise ValueError(f"{self._template} prints message {index + 1} among others.")
            begin = pieces[first - 1].text if first else ""
            opened = self._opened(dialogue, index, begin, index == last)
            after = pieces[final + 1].text if final + 1 < len(pieces) else ""
            end = self._end(after, bool(message.tool_calls), index == last)
            yield starts[first] - len(begin) + opened, starts[final + 1], end

    def _opened(self, dialogue: Dialogue, index: int, begin: str, is_last: bool) -> int:
        """Return how much of `begin`, what stands before an answer, asks for it."""
        before = dialogue.model_copy(update={"messages": dialogue.messages[:index]})
        key = (tuple(message.role for message in before.messages), dialogue.tools)
        for is_known in (True, False):
            if not is_known or key not in self._openings:
                text = self._marked(before, _Marks(), is_open=True)
                self._openings[key] = _ANY_MARK.sub("", text.rpartition(_END)[2])
            opening = self._openings[key]
            if begin.startswith(opening):
                return len(opening)
            if not is_last and opening.startswith(begin):  # earlier answers lose their thoughts
                return len(begin)
        raise ValueError(
            f"{self._template} asks for an answer by {opening!r}, but prints {begin!r} before one: "
            "a model would be asked otherwise than it was taught."
        )

    def _end(self, after: str, has_calls: bool, is_last: bool) -> str | None:
        """Return what of the text `after` an answer's words ends the turn; None if nothing does."""
        ends = self._ends if not has_calls else [*self._ends, *self._special]
        for token in ends:
            place = after.find(token)
            if place >= 0:
                return after[: place + len(token)]
        if has_calls:
            raise ValueError(f"{self._template} sets no token that ends a turn after calls.")
        return None


class _Marks:
    """Marks around what is said, numbered in the order in which they are given out."""

    def __init__(self, trimmed: frozenset[str] = frozenset()) -> None:
        """Leave the outer space of `trimmed` roles without the marks: templates can trim it."""
        self._trimmed = trimmed
        self.owners: list[int] = []  # the message of each mark
        self.calls: set[int] = set()  # the marks of tools' names

    def message(self, index: int, message: Message) -> dict[str, Any]:
        """Return a message as templates read it, with marks."""
        found = message.for_template()
        if message.role == "assistant" and _THINKING.search(message.content):
            parts = _THINKING.split(message.content)
            found["content"] = "".join(
                part if _THINKING.fullmatch(part) else self._set(index, part, trims=True)
                for part in parts
            )
        else:
            found["content"] = self._set(index, message.content, message.role in self._trimmed)
        for call in found.get("tool_calls", ()):
            self.calls.add(len(self.owners))
            called = call["function"]
            called["name"] = self._set(index, called["name"], trims=False)
            called["arguments"] = self._within(index, called["arguments"])
        return found

    def _within(self, index: int, value: Any) -> Any:
        """Return a JSON value with marks around its texts."""
        if isinstance(value, str):
            return self._set(index, value, trims=False)
        if isinstance(value, dict):
            return {key: self._within(index, each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._within(index, each) for each in value]
        return value

    def _set(self, index: int, text: str, trims: bool) -> str:
        core = text.strip() if trims else text
        if not core:
            return text
        digits = "".join(chr(ord(_DIGITS) + int(digit, 16)) for digit in f"{len(self.owners):x}")
        self.owners.append(index)
        before, _, after = text.partition(core)
        return f"{before}{_BEGIN}{digits}{core}{_END}{after}"


def _number(digits: str) -> int:
    return int("".join(f"{ord(digit) - ord(_DIGITS):x}" for digit in digits), 16)


def _taken_apart(marked: str, marks: _Marks) -> Iterator[Piece]:
    place = 0
    for found in _MARKED.finditer(marked):
        if found.start() > place:
            yield Piece(_frame(marked[place : found.start()]), None)
        yield Piece(found[2], marks.owners[_number(found[1])])
        place = found.end()
    if place < len(marked):
        yield Piece(_frame(marked[place:]), None)


def _frame(text: str) -> str:
    if _ANY_MARK.search(text):
        raise ValueError("The chat template cuts a message in a way that cannot be followed.")
    return text


def _starts(pieces: list[Piece]) -> list[int]:
    """Return where each piece begins in the text, and the end."""
    starts = [0]
    for piece in pieces:
        starts.append(starts[-1] + len(piece.text))
    return starts


def _until(pieces: list[Piece], end: int) -> Iterator[Piece]:
    """Yield pieces up to a place in their text."""
    for piece, start in zip(pieces, _starts(pieces), strict=False):
        if start < end:
            yield Piece(piece.text[: end - start], piece.message)


def _shape(dialogue: Dialogue) -> Any:
    """Return what dialogues with one frame have in common; None where words may change it."""
    for message in dialogue.messages:
        if message.tool_calls or _THINKING.search(message.content) or not message.content.strip():
            return None
    parts = [(m.role, m.content == m.content.strip(), m.name) for m in dialogue.messages]
    return tuple(parts), dialogue.tools


def _filled(frame: list[Piece], dialogue: Dialogue) -> list[Piece]:
    """Return a frame around the words of another dialogue of its shape."""
    return [
        piece if piece.message is None else Piece(_as(piece, dialogue), piece.message)
        for piece in frame
    ]


def _as(piece: Piece, dialogue: Dialogue) -> str:
    content = dialogue.messages[piece.message or 0].content
    return content if piece.text != piece.text.strip() else content.strip()
