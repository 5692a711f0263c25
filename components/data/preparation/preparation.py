"""What is done with dialogues and comparisons alike before a model learns from them."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import EvaluationSets, Planted, Vocabulary
from components.data.duplicates.minhash import Matching
from components.data.overlap.items import Search
from components.data.personal.detect import PersonalDataKind, mask
from components.data.personal.national import Region
from components.data.preparation.lengths import Length, Lengths, Unrendered
from components.data.preparation.planted import measure, require
from components.data.preparation.sieve import TOO_LONG, RowSieve
from components.data.preparation.texts import R, with_texts

REJECTS = "rejects.jsonl"
"""File of the rows that were left out."""

_NOT_RENDERED = "the template does not render it"


class PrepareInputs(Frozen):
    """What goes into the preparation, beside the rows."""

    evaluation: EvaluationSets
    """What models are tested on: nothing that shares words with it is learnt."""
    vocabulary: Vocabulary
    """The tokenizer of the model that learns, with its chat template."""
    max_length: int
    """Tokens that the model reads at once."""


class Prepared(NamedTuple):
    """What is left of some sets, and what is known of it."""

    lengths: dict[str, Length]
    """Of each row, by its id."""
    masked: Counter[str]
    """What was masked, by kind."""
    planted: tuple[Planted, ...]
    """What was found of duplicates that were planted, by form."""


class Preparation(Frozen):
    """How rows are chosen."""

    near_duplicates: bool = True
    """Whether a row that nearly says the same as another one is left out, beside exact copies."""
    overlap_words: int = Field(default=13, ge=5)
    """Words in a row that no row may share with an item that models are tested on."""
    num_planted: int = Field(default=50, ge=0)
    """Altered copies of rows that are planted in each form, and as many near misses, to measure
    recall and precision of what is left out as a duplicate."""
    min_recall: float = Field(default=0.95, ge=0, le=1)
    """Share of the planted copies that must be found, in every form. Those count that are copies by
    a margin."""
    min_precision: float = Field(default=0.95, ge=0, le=1)
    """Share of what is taken that must have been planted, in every form."""
    min_kept: float = Field(default=0.99, ge=0, le=1)
    """Share of the near misses that must be kept, in every form: rows of one template, or of the
    set, with another content, number, operator or name."""
    masked: tuple[PersonalDataKind, ...] = ("email", "iban", "card", "ip", "national_id", "phone")
    """What is masked in every message, such as `<EMAIL>`; none leaves all as it is."""
    masked_regions: tuple[Region, ...] = Field(
        default=("CA", "DE", "ES", "FR", "GB", "IT", "US"), min_length=1
    )
    """Whose national ids, and telephone numbers without a country code, are looked for."""

    def sift(self, sieve: RowSieve[R], inputs: PrepareInputs, scratch: Path) -> Prepared:
        """Leave out of `sieve` what shall not be learnt; mask and measure the rest.

        Raises:
            ValueError: too few planted duplicates are found, or too much else is taken for one.
        """
        sieve.drop_repeated_ids()
        sieve.drop_exact_duplicates()
        matching = Matching() if self.near_duplicates else None
        if matching is not None and sieve.rows:
            scratch.mkdir(exist_ok=True)
            sieve.drop_near_duplicates(matching, scratch)
        planted = measure(sieve.rows, self.num_planted, matching, scratch)
        require(planted, self.min_recall, self.min_precision, self.min_kept)
        sieve.drop_overlaps(Search(ngram_words=self.overlap_words).index(inputs.evaluation))
        masked = self._mask(sieve)
        return Prepared(_measure(sieve, inputs), masked, planted)

    def _mask(self, sieve: RowSieve[R]) -> Counter[str]:
        counts = Counter[str]()

        def masked(text: str) -> str:
            found = mask(text, self.masked, self.masked_regions)
            counts.update(found.counts)
            return found.text

        if self.masked:
            sieve.rows = [with_texts(row, masked) for row in sieve.rows]
        return counts


def _measure(sieve: RowSieve[R], inputs: PrepareInputs) -> dict[str, Length]:
    """Return the lengths of the rows, and leave out those that are too long or do not render."""
    lengths, found = Lengths(inputs.vocabulary.path), dict[str, Length]()

    def judge(row: R) -> tuple[str, str] | None:
        try:
            each = lengths.of(row)
        except Unrendered as error:
            return _NOT_RENDERED, str(error)
        if (longest := max(length.tokens for length in each)) > inputs.max_length:
            return TOO_LONG, f"{longest} tokens, the model reads {inputs.max_length}"
        found[row.id] = Length(*map(sum, zip(*each, strict=True)))
        return None

    sieve.drop_if(judge)
    return found
