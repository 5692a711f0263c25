"""The field's rules for text from the web, by datatrove's own filters."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from components.core.artifacts.base import Frozen

Rules = Literal["gopher_repetition", "gopher_quality", "c4", "fineweb"]


class Thresholds(Frozen):
    """Where the rules draw their lines; the defaults are those of their papers."""

    words: str = "en"
    """ISO 639 code of the language by whose rules words and sentences are told."""
    min_words: int = Field(default=50, ge=1)
    """`gopher_quality`: shorter documents are dropped."""
    max_words: int = Field(default=100_000, ge=1)
    """`gopher_quality`: longer documents are dropped."""
    stop_words: tuple[str, ...] = ()
    """`gopher_quality`: words that prose has; empty means the English ones of the paper."""
    min_stop_words: int = Field(default=2, ge=0)
    """`gopher_quality`: how many of them a document must have."""
    alphabetic_words: float = Field(default=0.8, ge=0, le=1)
    """`gopher_quality`: smallest share of words with a letter; datatrove counts a comma as one."""
    duplicate_lines: float = Field(default=0.3, ge=0, le=1)
    """`gopher_repetition`: largest share of lines, and of paragraphs, that were there before."""
    duplicate_characters: float = Field(default=0.2, ge=0, le=1)
    """`gopher_repetition`: largest share of characters in such lines, and in such paragraphs."""
    c4_terminal_punctuation: bool = True
    """`c4`: remove lines that do not end as a sentence does."""
    c4_min_sentences: int = Field(default=5, ge=0)
    """`c4`: documents that have fewer in the lines that stay are dropped."""
    c4_min_words_per_line: int = Field(default=3, ge=0)
    """`c4`: shorter lines are removed."""
    fineweb_line_punctuation: float = Field(default=0.12, ge=0, le=1)
    """`fineweb`: smallest share of lines that end as a sentence does."""
    fineweb_short_lines: float = Field(default=0.67, ge=0, le=1)
    """`fineweb`: largest share of lines of at most 30 characters."""
    fineweb_duplicate_characters: float = Field(default=0.01, ge=0, le=1)
    """`fineweb`: largest share of characters in lines that were there before."""
    fineweb_new_lines: float = Field(default=0.3, ge=0)
    """`fineweb`: largest number of line ends a word."""


class Quality:
    """Applies rules in the order given, and counts the lines that they remove."""

    def __init__(self, rules: Sequence[Rules], thresholds: Thresholds) -> None:
        """Make datatrove's filters.

        Raises ValueError for a language that datatrove has no words of, and ImportError for one
        whose words need another package.
        """
        self._filters = [(name, _filter(name, thresholds)) for name in rules]

    def judge(self, text: str) -> tuple[str, str | None]:
        """Return the text that stays, and the reason to drop it or None.

        A reason is the rules' name and datatrove's reason, such as `c4: too_few_sentences`.
        """
        from datatrove.data import Document

        document = Document(text=text, id="")
        for name, rules in self._filters:
            verdict = rules.filter(document)
            is_good, reason = verdict if isinstance(verdict, tuple) else (verdict, None)
            if not is_good:
                return text, f"{name}: {reason}" if reason else name
        return document.text, None

    def removed_lines(self) -> Counter[str]:
        """Return how many lines were removed so far, by `<rules>: lines <datatrove's reason>`."""
        removed = Counter[str]()
        for name, rules in self._filters:
            for label, stat in rules.stats.stats.items():
                if label.startswith(_LINES):
                    removed[f"{name}: lines {label.removeprefix(_LINES)}"] = int(stat.total)
        return removed


_LINES = "line-filter-"


def _filter(name: Rules, thresholds: Thresholds) -> Any:
    from datatrove.pipeline import filters

    from components.data.cleaning.words import tokenizer

    language: Any = tokenizer(thresholds.words)
    match name:
        case "gopher_repetition":
            return filters.GopherRepetitionFilter(
                dup_line_frac=thresholds.duplicate_lines,
                dup_para_frac=thresholds.duplicate_lines,
                dup_line_char_frac=thresholds.duplicate_characters,
                dup_para_char_frac=thresholds.duplicate_characters,
                language=language,
            )
        case "gopher_quality":
            return filters.GopherQualityFilter(
                min_doc_words=thresholds.min_words,
                max_doc_words=thresholds.max_words,
                max_non_alpha_words_ratio=thresholds.alphabetic_words,  # a minimum
                stop_words=list(thresholds.stop_words) or None,
                min_stop_words=thresholds.min_stop_words,
                language=language,
            )
        case "c4":
            return filters.C4QualityFilter(
                filter_no_terminal_punct=thresholds.c4_terminal_punctuation,
                min_num_sentences=thresholds.c4_min_sentences,
                min_words_per_line=thresholds.c4_min_words_per_line,
                language=language,
            )
        case "fineweb":
            return filters.FineWebQualityFilter(
                line_punct_thr=thresholds.fineweb_line_punctuation,
                short_line_thr=thresholds.fineweb_short_lines,
                char_duplicates_ratio=thresholds.fineweb_duplicate_characters,
                new_line_ratio=thresholds.fineweb_new_lines,
                language=language,
            )
