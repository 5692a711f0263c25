"""Sets of dialogues and comparisons, and what else their preparation reads, for tests."""

from pathlib import Path

from components.core.artifacts.data import EvaluationSets, Vocabulary
from components.data.document import Document, write_documents, write_lines
from components.lib.text.chat import SPECIAL_TOKENS, TEMPLATE


def a_tokenizer(folder: Path, template: str = TEMPLATE) -> Vocabulary:
    """Write a tokenizer whose tokens are bytes, with a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({c: n for n, c in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token=SPECIAL_TOKENS[0])
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return Vocabulary(path=folder, vocab_size=len(tokenizer))


def evaluation_of(folder: Path, *texts: str) -> EvaluationSets:
    """Write an evaluation set called `quiz`."""
    rows = (Document(id=f"quiz/{n}", text=text) for n, text in enumerate(texts))
    write_documents(folder / "quiz" / "documents.jsonl", rows)
    return EvaluationSets(path=folder, revision="1.dir", names=("quiz",))


def messages(*said: str) -> list[dict[str, object]]:
    """Return messages of a user and an assistant, in turns."""
    roles = ("user", "assistant") * len(said)
    return [{"role": r, "content": text} for r, text in zip(roles, said, strict=False)]


def write_rows(folder: Path, name: str, file: str, rows: list[dict[str, object]]) -> None:
    """Write a set of rows, whose ids are their places."""
    named = ({"id": f"{name}/{n}", **row} for n, row in enumerate(rows))
    write_lines(folder / name / file, named)
