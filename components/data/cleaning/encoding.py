"""Characters as they were meant: mojibake undone, one form of Unicode, one kind of line end."""

import re
import unicodedata
from functools import cache
from typing import Any

# Control characters that separate words, by Unicode: soft returns, ends of pages and of records
_LINE_END = re.compile(r"\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x9f]")  # Unicode category Cc, but white space
_UNREADABLE = re.compile(r"[\x00-\x08\x0e-\x1a\x7f-\x84\x86-\x9f\ufffd]")  # no escape either
# UTF-8 that was read as Latin-1, in which U+0085 is part of a character
_MISREAD = re.compile(r"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_NEXT_LINE = re.compile(rf"({_MISREAD.pattern})|\x85")


def repair(text: str) -> str:
    """Return `text` with what a wrong decoding made of its characters undone, line by line.

    ftfy (Speer, 2019) decides by how improbable the characters are beside each other. Of what else
    it offers, only ligatures (of PDF) are taken apart and colours of a terminal removed: curly
    quotes, HTML entities and wide characters may be meant.
    """
    if text.isascii() and "\x1b" not in text:
        return text
    fix, config = _ftfy()
    lines = _next_lines(text).split("\n")
    for place, line in enumerate(lines):
        if not line.isascii() or "\x1b" in line:
            lines[place] = fix(line, config)
    return "\n".join(lines)


def _next_lines(text: str) -> str:
    """Return text whose U+0085 are line ends, unless other controls show that it is an ellipsis.

    In Windows' Western code page it is one, and ftfy reads it so.
    """
    if "\x85" not in text or _CONTROL.search(_MISREAD.sub("", text.replace("\x85", ""))):
        return text
    return _NEXT_LINE.sub(lambda found: found[1] or "\n", text)


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
    text = _LINE_END.sub("\n", text).replace("\x1f", " ")
    return unicodedata.normalize("NFC", _CONTROL.sub("", text)).strip()
