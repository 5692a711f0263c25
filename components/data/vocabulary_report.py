"""ReportVocabulary: documents and a tokenizer -> what it makes of them, in numbers and colours."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import Corpus, Vocabulary, VocabularyReport
from components.core.component import Component
from components.data.document import Document
from components.data.reports.vocabulary_page import Shown, Token, page
from components.data.vocabulary import sample, source_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_BATCH = 64  # documents
_LISTED = 20  # tokens that are used most; documents that do not come back


class VocabularyReportInputs(Frozen):
    """What `ReportVocabulary` reads."""

    corpus: Corpus
    """Documents; the validation split is measured."""
    vocabulary: Vocabulary
    """The tokenizer."""


class Tally(Frozen):
    """Counts over some documents."""

    documents: int = 0
    """Documents, or passages of them."""
    bytes: int = 0
    """UTF-8 bytes of their text."""
    words: int = 0
    """Stretches without white space: a rough measure, and none where words are not set apart."""
    tokens: int = 0
    """Tokens, without those for the ends of documents."""
    unknown: int = 0
    """Tokens that say only that something was unknown."""

    def __add__(self, other: "Tally") -> "Tally":
        """Return the counts over the documents of both."""
        names = Tally.model_fields
        return Tally(**{name: getattr(self, name) + getattr(other, name) for name in names})

    def rates(self) -> dict[str, float | int]:
        """Return the counts, and the rates that follow from them."""
        return {
            **self.model_dump(),
            "bytes_per_token": self.bytes / max(1, self.tokens),
            "tokens_per_word": self.tokens / max(1, self.words),
            "unknown_rate": self.unknown / max(1, self.tokens),
        }


class VocabularyMeasures(Frozen):
    """What encoding the sample found."""

    by_domain: dict[str, Tally]
    """By the first part of the documents' ids."""
    by_language: dict[str, Tally]
    """By `language` in their metadata; only those that have it."""
    counts: dict[int, int]
    """How often each id is used."""
    lost: tuple[str, ...]
    """Ids of the documents that do not come back."""


class ReportVocabulary(Component[VocabularyReportInputs, VocabularyReport]):
    """Measure a tokenizer on a sample of the validation split, which it was not trained on."""

    version: ClassVar[str] = "1.0.0"

    sample_bytes: int = Field(default=2 << 20, gt=0)
    """UTF-8 bytes of text that are measured, of each source the same share."""
    num_samples: int = Field(default=6, ge=0)
    """Stretches of text that the page shows, of every source in turn."""
    sample_characters: int = Field(default=600, ge=1)
    """Length of each."""

    def run(self, inputs: VocabularyReportInputs, out: Path) -> VocabularyReport:
        """Measure, and write `report.json` and `report.html`."""
        from tokenizers import Tokenizer

        from components.core.files import write_atomically, write_json

        tokenizer = Tokenizer.from_file(str(inputs.vocabulary.path / "tokenizer.json"))
        tokenizer.encode_special_tokens = True
        documents = list(sample(inputs.corpus, "validation", self.sample_bytes))
        measured = measure(tokenizer, documents)
        whole = sum(measured.by_domain.values(), Tally())
        size = inputs.vocabulary.vocab_size
        report = {
            "vocab_size": size,
            "sample": whole.rates(),
            "by_domain": {name: t.rates() for name, t in sorted(measured.by_domain.items())},
            "by_language": {name: t.rates() for name, t in sorted(measured.by_language.items())},
            "round_trip_errors": {"documents": len(measured.lost), "ids": measured.lost[:_LISTED]},
            "use": use_of(tokenizer, measured.counts, size),
        }
        write_json(out / "report.json", report)
        shown = [self._shown(tokenizer, document) for document in self._chosen(documents)]
        write_atomically(out / "report.html", page(report, shown))
        return VocabularyReport(
            path=out,
            bytes_per_token=whole.bytes / max(1, whole.tokens),
            tokens_per_word=whole.tokens / max(1, whole.words),
            unknown_rate=whole.unknown / max(1, whole.tokens),
            round_trip_errors=len(measured.lost),
            share_used=len(measured.counts) / size,
            bytes_per_token_by_domain=_bytes_per_token(measured.by_domain),
            bytes_per_token_by_language=_bytes_per_token(measured.by_language),
        )

    def _chosen(self, documents: Sequence[Document]) -> list[Document]:
        """Return the documents to show: the first of each source, the second of each, ..."""
        places = Counter[str]()
        turns: list[tuple[int, int]] = []
        for number, document in enumerate(documents):
            turns.append((places[source_of(document)], number))
            places[source_of(document)] += 1
        return [documents[number] for _, number in sorted(turns)[: self.num_samples]]

    def _shown(self, tokenizer: "Tokenizer", document: Document) -> Shown:
        text = document.text[: self.sample_characters]
        encoding = tokenizer.encode(text, add_special_tokens=False)
        found = zip(encoding.ids, encoding.tokens, encoding.offsets, strict=True)
        tokens = [Token(index, name, start, end) for index, name, (start, end) in found]
        return Shown(document.id, text, tokens)


def measure(tokenizer: "Tokenizer", documents: Sequence[Document]) -> VocabularyMeasures:
    """Encode and decode documents, and count."""
    from components.lib.text.tokens import unknown_id

    unknown = unknown_id(tokenizer)
    by_domain: dict[str, Tally] = {}
    by_language: dict[str, Tally] = {}
    counts = Counter[int]()
    lost: list[str] = []
    for start in range(0, len(documents), _BATCH):
        batch = documents[start : start + _BATCH]
        texts = [document.text for document in batch]
        ids = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
        back = tokenizer.decode_batch(ids, skip_special_tokens=False)
        for document, own, text in zip(batch, ids, back, strict=True):
            counts.update(own)
            tally = _tally(document.text, own, unknown)
            domain = source_of(document)
            by_domain[domain] = by_domain.get(domain, Tally()) + tally
            if language := str(document.metadata.get("language", "")):
                by_language[language] = by_language.get(language, Tally()) + tally
            if text != document.text:
                lost.append(document.id)
    return VocabularyMeasures(
        by_domain=by_domain, by_language=by_language, counts=dict(counts), lost=tuple(lost)
    )


def use_of(
    tokenizer: "Tokenizer", counts: dict[int, int], vocab_size: int
) -> dict[str, float | list[tuple[str, int]]]:
    """Return how much of the vocabulary the text uses, and how unevenly.

    `ids_of_99_percent` are the most used ids that make up 99 % of the tokens; `entropy_bits` is
    that of the ids' frequencies, and `efficiency` its share of log2(vocab_size) (Zouhar et al.
    2023).
    """
    total = sum(counts.values())
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    entropy = -sum(n / total * math.log2(n / total) for n in counts.values())
    within, head = 0, 0
    while within < 0.99 * total:
        within, head = within + most[head][1], head + 1
    return {
        "ids_used": len(counts),
        "share_used": len(counts) / vocab_size,
        "ids_used_once": sum(n == 1 for n in counts.values()),
        "ids_of_99_percent": head,
        "entropy_bits": entropy,
        "efficiency": entropy / math.log2(vocab_size),
        "most_used": [(tokenizer.id_to_token(index) or "", n) for index, n in most[:_LISTED]],
    }


def _tally(text: str, ids: Sequence[int], unknown: int | None) -> Tally:
    return Tally(
        documents=1,
        bytes=len(text.encode()),
        words=len(text.split()),
        tokens=len(ids),
        unknown=sum(index == unknown for index in ids),
    )


def _bytes_per_token(tallies: dict[str, Tally]) -> dict[str, float]:
    return {name: tally.bytes / max(1, tally.tokens) for name, tally in sorted(tallies.items())}
