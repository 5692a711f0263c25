"""Tokens of an answer as text, in pieces that never have to be taken back."""

from collections.abc import Callable, Sequence

_CUT = "\ufffd"  # what a character decodes to whose last bytes are yet to come
_MOST_OPEN = 16  # tokens that a character may be spread over; what is longer is no character


class TextStream:
    """Gives the text of an answer as it comes: whole characters, and nothing of a stop string.

    The pieces together are the text of all tokens up to the first stop string, however they came.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stops: Sequence[str] = ()) -> None:
        """Decode by `decode`; an answer ends before the first of `stops` that it says."""
        self._decode = decode
        self._stops = [stop for stop in stops if stop]
        self._tokens: list[int] = []
        self._from = self._told = 0  # tokens that are decoded again, and those whose text was told
        self._held = ""  # may be the beginning of a stop string
        self.is_stopped = False
        """Whether a stop string was said: nothing more comes."""

    def push(self, token: int) -> str:
        """Return the text that is certain with one more token; may be none."""
        if self.is_stopped:
            return ""
        self._tokens.append(token)
        return self._released(self._new_text(is_last=False))

    def push_text(self, text: str) -> str:
        """Return what is certain with more text, of an engine that speaks text itself."""
        return "" if self.is_stopped else self._released(text)

    def finish(self) -> str:
        """Return what was held back, now that no token comes."""
        if self.is_stopped:
            return ""
        text = self._released(self._new_text(is_last=True))
        text, self._held = text + self._held, ""
        return text

    def _new_text(self, is_last: bool) -> str:
        """Return the text of the last tokens: some before them say whether a space is theirs."""
        whole = self._decode(self._tokens[self._from :])
        is_open = whole.endswith(_CUT) and len(self._tokens) - self._told < _MOST_OPEN
        if is_open and not is_last:
            return ""
        before = self._decode(self._tokens[self._from : self._told])
        self._from, self._told = self._told, len(self._tokens)
        return whole[len(before) :]

    def _released(self, text: str) -> str:
        """Return what no stop string can claim any more."""
        if not self._stops:
            return text
        text = self._held + text
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.is_stopped, self._held = True, ""
            return text[: min(places)]
        held = max(_overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def _overlap(text: str, stop: str) -> int:
    """Return how many of the last characters of `text` may begin a stop string."""
    most = min(len(text), len(stop) - 1)
    return next((n for n in range(most, 0, -1) if text.endswith(stop[:n])), 0)
