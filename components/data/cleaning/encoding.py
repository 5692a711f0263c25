"""Characters as they were meant: mojibake undone, one form of Unicode, one kind of line end."""

import re
import unicodedata
from functools import cache
from typing import Any

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # Unicode category Cc, but \t and \n
_UNREADABLE = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f-\x9f\ufffd]")  # no \r, \f, escape


def repair(text: str) -> str:
    """Return `text` with what a wrong decoding made of its characters undone, line by line.

    ftfy (Speer, 2019) decides by how improbable the characters are beside each other. Of what else
    it offers, only ligatures (of PDF) are taken apart and colours of a terminal removed: curly
    quotes, HTML entities and wide characters may be meant.
    """
    if text.isascii() and "\x1b" not in text:
        return text
    fix, config = _ftfy()
    lines = text.split("\n")
    for place, line in enumerate(lines):
        if not line.isascii() or "\x1b" in line:
            lines[place] = fix(line, config)
    return "\n".join(lines)


@cache
def _ftfy() -> tuple[Any, Any]:
    import ftfy

    config = ftfy.TextFixerConfig(
        unescape_html=False,
        uncurl_quotes=False,
        fix_character_width=False,
        fix_line_breaks=False,
        remove_control_chars=False,  # they tell a binary file, and `normalise` removes them
        normalization=None,
        explain=False,
    )
    return ftfy.fix_text, config


def unreadable_share(text: str) -> float:
    """Return the share of characters that no writer types: control and replacement, 0 to 1."""
    return len(_UNREADABLE.findall(text)) / max(1, len(text))


def normalise(text: str) -> str:
    """Return `text` in Unicode form NFC, with Unix line ends and no other control characters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", _CONTROL.sub("", text)).strip()
