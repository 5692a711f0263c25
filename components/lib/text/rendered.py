"""Dialogues as tokens, by the tokenizer's own chat template, and which of them bear a loss.

Those of every answer do, as the template prints it, calls of tools and the end of the turn
included, and no others. What looks like a special token in what is said is text, so that nobody can
end a turn from within; and a prompt has the ids of `components.lib.text.chat.encode_prompt`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import TYPE_CHECKING, NamedTuple

from components.lib.text.chat import answer_end
from components.lib.text.dialogue import Dialogue
from components.lib.text.turns import Piece, TurnFinder, Turns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_AT_ONCE = 1024  # dialogues that are tokenized together


class Rendered(NamedTuple):
    """The tokens of a dialogue."""

    ids: list[int]
    """Up to the end of the last answer."""
    is_learnt: list[bool]
    """Which of them are of an answer, its end included."""

    def prompt_length(self) -> int:
        """Return how many tokens stand before the last answer."""
        asked = [place for place, learnt in enumerate(self.is_learnt) if not learnt]
        return asked[-1] + 1 if asked else 0


class _Segment(NamedTuple):
    """What is tokenized as one."""

    text: str
    is_said: bool
    """Whether what looks like a special token in it is text."""
    is_learnt: bool


def render_dialogue(tokenizer: "PreTrainedTokenizerFast", dialogue: Dialogue) -> Rendered:
    """Return the tokens of a dialogue.

    Raises:
        ValueError: the chat template refuses it, or its answers cannot be told from the rest.
    """
    (found,) = Renderer(tokenizer).render([dialogue])
    if isinstance(found, str):
        raise ValueError(found)
    return found


class Renderer:
    """Renders dialogues in batches; what it has found of the template serves for the next."""

    def __init__(self, tokenizer: "PreTrainedTokenizerFast") -> None:
        """Render by this tokenizer.

        Raises:
            ValueError: it has no chat template, or names no token that ends an answer.
        """
        self._finder, self._encoder = TurnFinder(tokenizer), _Encoder(tokenizer)

    def render(self, dialogues: Iterable[Dialogue]) -> Iterator[Rendered | str]:
        """Yield the tokens of each dialogue, or the reason why it has none."""
        rest, encoder = iter(dialogues), self._encoder
        while some := list(islice(rest, _AT_ONCE)):
            turns = [_turns(self._finder, dialogue) for dialogue in some]
            segments = [each if isinstance(each, str) else encoder.segments(each) for each in turns]
            encoder.read(each for row in segments if not isinstance(row, str) for each in row)
            for found, row in zip(turns, segments, strict=True):
                if isinstance(found, str) or isinstance(row, str):
                    yield str(found)
                else:
                    yield encoder.rendered(row, found.is_ended)


def _turns(finder: TurnFinder, dialogue: Dialogue) -> Turns | str:
    try:
        return finder.find(dialogue)
    except ValueError as error:
        return str(error)


class _Encoder:
    """Segments to ids: frames once for all, what is said in batches."""

    def __init__(self, tokenizer: "PreTrainedTokenizerFast") -> None:
        self._tokenizer = tokenizer
        self._end = answer_end(tokenizer)
        special = [t.content for t in tokenizer.added_tokens_decoder.values() if t.special]
        longest = sorted(special, key=len, reverse=True)
        self._special = re.compile(f"({'|'.join(map(re.escape, longest))})") if special else None
        self._frames: dict[str, list[int]] = {}
        self._said: dict[str, list[int]] = {}

    def segments(self, turns: Turns) -> list[_Segment]:
        """Return what is tokenized as one, in order: answers whole, but for special tokens."""
        found: list[_Segment] = []
        for piece, is_learnt in _cut(turns):
            for text, is_said in self._parts(piece, is_learnt):
                last = found[-1] if found else None
                if last is not None and is_said and is_learnt and last.is_said and last.is_learnt:
                    found[-1] = last._replace(text=last.text + text)
                else:
                    found.append(_Segment(text, is_said, is_learnt))
        return found

    def _parts(self, piece: Piece, is_learnt: bool) -> Iterator[tuple[str, bool]]:
        """Yield the parts of a piece; in the frame of an answer only special tokens are special."""
        if piece.message is not None or not is_learnt:
            yield piece.text, piece.message is not None
            return
        for part in self._special.split(piece.text) if self._special else [piece.text]:
            if part:
                yield part, not (self._special and self._special.fullmatch(part))

    def read(self, segments: Iterable[_Segment]) -> None:
        """Tokenize what is said in these segments."""
        texts = list(dict.fromkeys(each.text for each in segments if each.is_said))
        self._said = {}
        if texts:
            made: Sequence[list[int]] = self._tokenizer(
                texts, add_special_tokens=False, split_special_tokens=True
            ).input_ids
            self._said = dict(zip(texts, made, strict=True))

    def rendered(self, segments: list[_Segment], is_ended: bool) -> Rendered:
        """Return the ids of segments that were read; an answer ends, whatever the template does."""
        ids: list[int] = []
        is_learnt: list[bool] = []
        for segment in segments:
            made = self._said[segment.text] if segment.is_said else self._frame(segment.text)
            ids += made
            is_learnt += [segment.is_learnt] * len(made)
        if not is_ended:
            ids.append(self._end)
            is_learnt.append(True)
        return Rendered(ids, is_learnt)

    def _frame(self, text: str) -> list[int]:
        if text not in self._frames:
            self._frames[text] = self._tokenizer.encode(text, add_special_tokens=False)
        return self._frames[text]


def _cut(turns: Turns) -> Iterator[tuple[Piece, bool]]:
    """Yield the pieces of a dialogue, cut where answers begin and end, and whether each is one."""
    places = sorted({place for span in turns.learnt for place in span})
    starts = {begin for begin, _ in turns.learnt}
    is_learnt, start = False, 0
    for piece in turns.pieces:
        end = start + len(piece.text)
        bounds = [start, *(place for place in places if start < place < end), end]
        for begin, stop in pairwise(bounds):
            if begin in places:
                is_learnt = begin in starts
            yield Piece(piece.text[begin - start : stop - start], piece.message), is_learnt
        start = end
