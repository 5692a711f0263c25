"""The page of a vocabulary report: tables, and text coloured by token."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, NamedTuple

_COLOURS = ("#cfe8ff", "#ffe3c2", "#d6f5d6", "#f6d4e6", "#e6defa", "#fff3b0")
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:.5rem 0 1.5rem}"
    "td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #ddd}"
    "td:first-child,th:first-child{text-align:left}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#fafafa;padding:.7rem}"
    + "".join(f".t{number}{{background:{colour}}}" for number, colour in enumerate(_COLOURS))
)
_COLUMNS = {
    "documents": "documents",
    "bytes": "bytes",
    "tokens": "tokens",
    "bytes_per_token": "bytes a token",
    "tokens_per_word": "tokens a word",
    "unknown_rate": "unknown",
}


class Token(NamedTuple):
    """A token of a text that is shown."""

    id: int
    """Its place in the vocabulary."""
    name: str
    """As the vocabulary writes it."""
    start: int
    """First character of the text that it stands for."""
    end: int
    """The one after the last; tokens of single bytes share a character."""


class Shown(NamedTuple):
    """A text that is shown."""

    name: str
    """Id of its document."""
    text: str
    """The text."""
    tokens: Sequence[Token]
    """Its tokens, in order."""


def page(report: dict[str, Any], shown: Sequence[Shown]) -> str:
    """Return the page, complete in itself: no scripts, nothing from elsewhere."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Vocabulary</title>",
        f"<style>{_STYLE}</style><h1>A vocabulary of {report['vocab_size']:,} ids</h1>",
        _rates("Held-out text", {"all": report["sample"]}),
        _rates("By source", report["by_domain"]),
        _rates("By language", report["by_language"]),
        _use(report),
        "<h2>Samples</h2>" if shown else "",
        *(f"<h3>{escape(text.name)}</h3><pre>{coloured(text)}</pre>" for text in shown),
        "</html>\n",
    ]
    return "\n".join(part for part in parts if part)


def coloured(shown: Shown) -> str:
    """Return a text as HTML, every token in another colour than its neighbours.

    Tokens that share a character, such as the bytes of one, are shown as one.
    """
    parts: list[str] = []
    done = 0
    for number, tokens in enumerate(_apart(shown.tokens)):
        start, end = max(done, tokens[0].start), max(token.end for token in tokens)
        title = " ".join(f"{token.id} {token.name}" for token in tokens)
        text = escape(shown.text[start:end]).replace("\n", "\u21b5\n")
        parts.append(escape(shown.text[done:start]))  # what no token stands for
        colour = number % len(_COLOURS)
        parts.append(f'<span class=t{colour} title="{escape(title)}">{text}</span>')
        done = max(done, end)
    return "".join(parts) + escape(shown.text[done:])


def _apart(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Yield runs of tokens that share characters."""
    run: list[Token] = []
    for token in tokens:
        if run and token.start >= max(other.end for other in run):
            yield run
            run = []
        run.append(token)
    if run:
        yield run


def _rates(title: str, rows: dict[str, dict[str, float]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{name}</th>" for name in ("", *_COLUMNS.values()))
    body = "".join(
        f"<tr><td>{escape(name)}</td>"
        + "".join(f"<td>{_number(row[column])}</td>" for column in _COLUMNS)
        for name, row in rows.items()
    )
    return f"<h2>{title}</h2><table><tr>{head}</tr>{body}</table>"


def _use(report: dict[str, Any]) -> str:
    use, errors = report["use"], report["round_trip_errors"]
    most = "".join(f"<tr><td><code>{escape(t)}</code><td>{n:,}" for t, n in use["most_used"])
    lost = ", ".join(map(escape, errors["ids"]))
    return (
        f"<p>{use['ids_used']:,} ids are used ({use['share_used']:.1%}), "
        f"{use['ids_used_once']:,} of them once; {use['ids_of_99_percent']:,} make up 99 % of the "
        f"tokens. Documents that do not come back: {errors['documents']} {lost}</p>"
        f"<details><summary>Most used</summary><table>{most}</table></details>"
    )


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
