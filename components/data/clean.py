"""Clean: raw documents -> documents that are worth reading, in one form.

Each subject has a file of its own beside this one: encoding, html, boilerplate, language, quality.
"""

import logging
import shutil
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from components.core.artifacts.data import Documents, DocumentShards
from components.core.component import Component
from components.data.cleaning.boilerplate import Boilerplate, strip_boilerplate
from components.data.cleaning.encoding import normalise, repair, unreadable_share
from components.data.cleaning.html import hostname, looks_like_html, read_page
from components.data.cleaning.language import UNKNOWN, check_codes, identify
from components.data.cleaning.quality import Quality, Rules, Thresholds
from components.data.document import Document, document_files
from components.data.pieces import Piece, Sieve, cut, gathered, work_through

_MANY_ERRORS = 5  # so many documents may all be bad in a small piece

log = logging.getLogger(__name__)


class Clean(Component[Documents, DocumentShards]):
    """Repair and normalise the text, and drop what is empty, short, unreadable or unwanted.

    For text from the web there is `WEB`, which also has the rules of FineWeb.
    """

    version: ClassVar[str] = "2.2.1"

    min_characters: int = Field(default=200, ge=1)
    """Shorter documents are dropped."""
    max_characters: int = Field(default=10_000_000, ge=1)
    """Longer documents are dropped, before anything else is done with them."""
    repair_encoding: bool = True
    """Undo what a wrong decoding made of characters, such as `â€™` for a quote."""
    max_unreadable: float = Field(default=0.05, ge=0, le=1)
    """Share of control and replacement characters above which a document is binary."""
    sniff_html: bool = False
    """Take what begins as a web page for one, even if its metadata does not say `format: html`."""
    boilerplate: tuple[Boilerplate, ...] = ()
    """Kinds of boilerplate that are removed from documents."""
    identify_language: bool = True
    """Write each document's `language` and `language_percent` into its metadata, and count them."""
    languages: tuple[str, ...] = ()
    """ISO 639 codes of the languages that are kept; empty keeps all."""
    min_language_probability: float = Field(default=0.65, ge=0, le=1)
    """A less probable language is `unknown`; 0.65 is FineWeb's (Penedo et al., 2024)."""
    keep_unknown_language: bool = True
    """Keep documents of unknown language where `languages` are asked for."""
    quality: tuple[Rules, ...] = ()
    """Rules on quality that documents must pass, in this order."""
    thresholds: Thresholds = Thresholds()
    """Where these rules draw their lines."""

    def run(self, inputs: Documents, out: Path) -> DocumentShards:
        """Write the documents that stay, and those that do not with the reason.

        Raises ValueError for a language that cannot be told, and if a filter fails on most
        documents of a piece.
        """
        for old in out.iterdir():
            shutil.rmtree(old, ignore_errors=True)
        check_codes(self.languages)
        files = [file for each in inputs.sources for file in document_files(inputs.path / each)]
        answers = work_through(f"{__name__}:clean", cut(files), out, self.model_dump(mode="json"))
        return gathered(out, answers)


WEB = Clean(
    sniff_html=True,
    boilerplate=("notices",),
    languages=("en",),
    quality=("gopher_repetition", "gopher_quality", "c4", "fineweb"),
    thresholds=Thresholds(c4_terminal_punctuation=False),
)
"""English text from the web, by the rules and in the order of FineWeb (Penedo et al., 2024)."""


def clean(piece: Piece, out: Path, payload: dict[str, Any]) -> dict[str, Any]:
    """Clean the documents of a piece."""
    with Sieve(piece, out) as sieve:
        cleaner = _Cleaner(Clean.model_validate(payload), sieve.counts)
        for raw in piece.documents():
            document, reason = cleaner.clean(raw)
            if reason:
                sieve.drop(document.model_copy(update={"text": raw.text}), reason)
            else:
                sieve.keep(document)
        cleaner.finish()
    return sieve.answer()


_Judged = tuple[Document, str | None]


class _Cleaner:
    """Cleans one document after the other: each step returns it, and the reason to drop it."""

    def __init__(self, step: Clean, counts: Counter[str]) -> None:
        self._step, self._counts = step, counts
        self._quality = Quality(step.quality, step.thresholds) if step.quality else None
        self._documents = self._errors = 0
        self._steps = (
            self._decode,
            self._read,
            self._strip,
            self._measure,
            self._identify,
            self._judge,
        )

    def clean(self, document: Document) -> _Judged:
        """Return the clean document, and the reason to drop it or None."""
        self._documents += 1
        try:
            for step in self._steps:
                document, reason = step(document)
                if reason:
                    return document, reason
        except (ImportError, MemoryError):
            raise  # not the document's fault
        except Exception as error:
            self._errors += 1
            kind = type(error).__name__
            log.warning("%s is dropped: %s: %s", document.id, kind, error, exc_info=True)
            return document, f"error: {kind}"
        return document, None

    def finish(self) -> None:
        """Count what is known at the end. Raises ValueError if most documents were errors."""
        if self._errors > max(_MANY_ERRORS, self._documents / 2):
            raise ValueError(
                f"{self._errors} of {self._documents} documents could not be cleaned: that is no "
                "fault of theirs. The log has each error; switch off what fails, or repair it."
            )
        if self._quality:
            self._counts.update(self._quality.removed_lines())

    def _decode(self, document: Document) -> _Judged:
        if len(document.text) > self._step.max_characters:
            return document, "too long"
        if "guessed_encoding" in document.metadata:
            self._counts["encoding guessed"] += 1
        text = repair(document.text) if self._step.repair_encoding else document.text
        normal = normalise(text)
        if normal and unreadable_share(text) > self._step.max_unreadable:
            return document, "binary"
        if text != document.text:
            self._counts["encoding repaired"] += 1
        return _with_text(document, normal), None

    def _read(self, document: Document) -> _Judged:
        declared = document.metadata.get("format") == "html"
        if not (declared or (self._step.sniff_html and looks_like_html(document.text))):
            return document, None
        known = document.metadata
        page = read_page(document.text, str(known.get("url", "")))
        found = {"title": page.title, "url": page.url, "hostname": hostname(page.url)}
        metadata = {name: value for name, value in found.items() if value} | known
        self._counts["html"] += 1
        document = document.model_copy(update={"metadata": metadata})
        text = normalise(page.text)
        return _with_text(document, text), None if text else "no text in html"

    def _strip(self, document: Document) -> _Judged:
        text, removed = strip_boilerplate(document.text, self._step.boilerplate)
        if removed:
            self._counts.update({f"boilerplate: {name}": n for name, n in removed.items()})
            document = _with_text(document, text.strip())
        return document, None

    def _measure(self, document: Document) -> _Judged:
        if not document.text:
            return document, "empty"
        return document, "short" if len(document.text) < self._step.min_characters else None

    def _identify(self, document: Document) -> _Judged:
        step = self._step
        if not (step.identify_language or step.languages):
            return document, None
        code, probability = identify(document.text)
        code = code if probability >= step.min_language_probability else UNKNOWN
        self._counts[f"language:{code}"] += 1
        found = {"language": code, "language_percent": round(100 * probability)}
        document = document.model_copy(update={"metadata": document.metadata | found})
        if not step.languages or code in step.languages:
            return document, None
        if code == UNKNOWN:
            return document, None if step.keep_unknown_language else "unknown language"
        return document, "other language"

    def _judge(self, document: Document) -> _Judged:
        if self._quality is None:
            return document, None
        text, reason = self._quality.judge(document.text)
        if reason or text == document.text:
            return document, reason
        return self._measure(_with_text(document, text))


def _with_text(document: Document, text: str) -> Document:
    return document.model_copy(update={"text": text})
