"""Text that many documents repeat and no reader wants: notices, licence headers, e-book frames."""

import re
from collections import Counter
from collections.abc import Callable, Collection
from typing import Literal

Boilerplate = Literal["notices", "license", "gutenberg"]

_NOTICE_CHARACTERS = 300
_NOTICE = re.compile(
    r"""\W*(?:
      (?:this|our)\s(?:web\s?)?(?:site|page|blog|store)\s(?:uses|is\susing)\scookies
    | we\s(?:and\sour\spartners\s)?use\scookies\s(?:on|to|and|for|in\sorder)\b
    | by\s(?:continuing|using|browsing|visiting)\b.{0,80}\bcookies?\b
    | (?:accept|reject|allow|manage)\s(?:all\s|the\s)?(?:use\sof\s)?cookies?\b
    | (?:cookie|privacy)\s(?:policy|settings|notice|preferences)\b
    | terms\s(?:of\s(?:use|service)|(?:and|&)\sconditions)\W*$
    | (?:subscribe|sign\sup)\s(?:to|for)\s(?:our|the|my)\b.{0,60}
      \b(?:newsletters?|mailing\slist|updates|blog|channel|emails?)\b
    | (?:please\s)?(?:enable|turn\son|activate)\sjavascript\b
    | javascript\s(?:is\sdisabled|must\sbe\senabled|is\srequired)
    | skip\sto\s(?:the\s)?(?:main\s)?(?:content|navigation)\W*$
    | (?:share|follow\sus|like\sus)\s(?:this\s)?(?:on|via)
      \s(?:facebook|twitter|x|linkedin|instagram)\b
    | (?:copyright\b|©|\(c\)).{0,120}\ball\srights\sreserved\b
    | all\srights\sreserved\W*$
    )""",
    re.IGNORECASE | re.VERBOSE,
)

_HEADER_CHARACTERS = 20_000  # the whole GPL is longer, but no header is
_BLOCK = re.compile(r"/\*.*?\*/|<!--.*?-->|\{-.*?-\}|\"{3}.*?\"{3}", re.DOTALL)
_MARKED_LINES = re.compile(r"(?:[ \t]*(?:\#|//|--|;|%|dnl\b)[^\n]*(?:\n|\Z))+")
_LEAD = re.compile(r"(?:\#![^\n]*\n|[ \t]*\#.{0,4}(?:coding[:=]|-\*-)[^\n]*\n|<\?[^\n]*\n|\s+)*")
_LICENSE = re.compile(
    r"SPDX-License-Identifier|Licensed\s+under\s+the|Permission\s+is\s+hereby\s+granted"
    r"|GNU\s+(?:\w+\s+)?General\s+Public\s+License|Redistribution\s+and\s+use\s+in\s+source"
    r"|Mozilla\s+Public\s+License|governed\s+by\s+a\s+\S+\s+license"
    r"|Copyright\b.{0,200}All\s+rights\s+reserved",
    re.IGNORECASE | re.DOTALL,
)
_COMMENT_MARK = re.compile(r"^[ \t]*(?:\#|//|--|;|%|\*|dnl\b)*", re.MULTILINE)

_EBOOK = re.compile(r"^\W*(START|END) OF (?:THE|THIS) PROJECT GUTENBERG[^\n]*$", re.MULTILINE)


def strip_boilerplate(text: str, kinds: Collection[Boilerplate]) -> tuple[str, Counter[str]]:
    """Return `text` without boilerplate of these kinds, and how often each was removed.

    `notices` are lines of at most 300 characters that begin as notices on cookies, newsletters,
    copyright and the like do; `license` is a comment on top of a program that names a licence;
    `gutenberg` is what Project Gutenberg puts before and after a book.
    """
    removed = Counter[str]()
    for kind in kinds:
        text, count = _STRIP[kind](text)
        if count:
            removed[kind] = count
    return text, removed


def _strip_notices(text: str) -> tuple[str, int]:
    lines = text.split("\n")
    kept = [line for line in lines if len(line) > _NOTICE_CHARACTERS or not _NOTICE.match(line)]
    return "\n".join(kept), len(lines) - len(kept)


def _strip_license(text: str) -> tuple[str, int]:
    """Remove the first comment, if it names a licence; what stands before it stays."""
    lead = _LEAD.match(text)
    start = lead.end() if lead else 0
    head = text[start : start + _HEADER_CHARACTERS]
    comment = _BLOCK.match(head) or _MARKED_LINES.match(head)
    if not comment or not _LICENSE.search(_COMMENT_MARK.sub("", comment.group())):
        return text, 0
    rest = text[start + comment.end() :].lstrip("\n")
    return text[:start] + rest, 1


def _strip_ebook_frame(text: str) -> tuple[str, int]:
    if "PROJECT GUTENBERG" not in text:
        return text, 0
    marks = list(_EBOOK.finditer(text))
    start = next((mark.end() for mark in marks if mark[1] == "START"), 0)
    end = next((m.start() for m in marks if m[1] == "END" and m.start() >= start), len(text))
    return text[start:end].strip(), int((start, end) != (0, len(text)))


_STRIP: dict[Boilerplate, Callable[[str], tuple[str, int]]] = {
    "notices": _strip_notices,
    "license": _strip_license,
    "gutenberg": _strip_ebook_frame,
}
