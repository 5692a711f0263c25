"""Web pages as their readers see them: the main text, without menus, scripts and footers."""

import logging
import re
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_BEGINNING = 2_000
_MARKUP = re.compile(
    r"\ufeff?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)


class Page(NamedTuple):
    """What of a web page is kept; an empty string is not known."""

    text: str
    title: str
    url: str
    hostname: str


def looks_like_html(text: str) -> bool:
    """Return whether `text` begins as a web page does; a fragment of one does not count."""
    return _MARKUP.match(text[:_BEGINNING]) is not None


def read_page(markup: str, url: str = "") -> Page:
    """Return the main text of a page by trafilatura (Barbaresi, 2021), comments left out.

    `url` is where the page was found, if known; else its canonical link is looked for.
    """
    extraction, metadata = _trafilatura()
    tree = extraction.load_html(markup)
    if tree is None:
        return Page("", "", url, hostname(url))
    # `extract_metadata` would also look for the date, which takes longer than all the rest
    title = metadata.examine_meta(tree).title or metadata.extract_title(tree) or ""
    url = url or metadata.extract_url(tree) or ""
    found = extraction.bare_extraction(tree, url=url or None, include_comments=False)
    text = found.text if found is not None else ""
    return Page(text or "", title.strip(), url, hostname(url))


def hostname(url: str) -> str:
    """Return the host that a URL names, or an empty string."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # such as half of an IPv6 address
        return ""


@cache
def _trafilatura() -> tuple[Any, Any]:
    import trafilatura
    from trafilatura import metadata

    # it logs an error for each page without text; here that is a counted reason
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    return trafilatura, metadata
