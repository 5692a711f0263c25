"""Whether a model can teach: it continues text, and reads what its student reads."""

from pathlib import Path
from typing import TYPE_CHECKING

from components.core.artifacts.data import TokenShards, Vocabulary
from components.lib.models.config import context_length, of_text, raw_config, reads
from components.lib.text.same_tokens import same_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def require_teacher(
    teacher: Path, vocabulary: Vocabulary, shards: TokenShards, sequence_length: int
) -> None:
    """Look at a teacher before it is loaded.

    Raises:
        ValueError: it continues no text, cannot read the tokens of the text, or not so many.
    """
    require_decoder_of(teacher, sequence_length)
    if shards.vocab_size != vocabulary.vocab_size:
        raise ValueError(
            f"The text has {shards.vocab_size:,} ids and the vocabulary {vocabulary.vocab_size:,}: "
            "they do not belong together. Give the vocabulary that the shards were made with."
        )
    if differ := same_tokens(teacher, vocabulary.path):
        raise ValueError(
            f"The teacher in {teacher} cannot read the student's tokens: {differ}. Distil across "
            "vocabularies (compress.across), or from the teacher's answers (compress.answers)."
        )
    require_rows(teacher, vocabulary.vocab_size)


def require_decoder_of(folder: Path, sequence_length: int) -> None:
    """Look whether a model continues text of so many tokens.

    Raises:
        ValueError: it does not.
    """
    config = raw_config(folder)
    if (kind := reads(config)) != "decoder":
        raise ValueError(
            f"The teacher in {folder} is of kind {kind!r} and continues no text. Take a causal "
            "language model."
        )
    if (longest := context_length(config)) < sequence_length:
        raise ValueError(
            f"sequence_length={sequence_length} is longer than the context of the teacher, "
            f"{longest} tokens: lower it to {longest} at most."
        )


def require_rows(folder: Path, vocab_size: int) -> None:
    """Look whether a model has a row for every token of its tokenizer.

    Raises:
        ValueError: it has not.
    """
    rows = of_text(raw_config(folder)).get("vocab_size")
    if isinstance(rows, int) and rows < vocab_size:
        raise ValueError(
            f"The teacher in {folder} has rows for {rows:,} tokens and its tokenizer "
            f"{vocab_size:,} ids: they do not belong together."
        )


def require_hiding(model: "PreTrainedModel") -> None:
    """Try that a model hides the documents of a sequence from each other.

    Raises:
        ValueError: it does not.
    """
    from components.lib.models.proof import hides_documents

    if not hides_documents(model):
        raise ValueError(
            f"document_mask=true, but documents of one sequence see each other in a "
            f"{type(model).__name__}. Leave document_mask out."
        )
