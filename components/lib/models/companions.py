"""The files that stand beside a model's weights, and go with it unchanged wherever it goes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "chat_template.jinja",
    "chat_template.json",
)
BASE_FACTS = "base.json"
"""What is known of the model that a recipe began with."""

_OTHERS = ("generation_config.json", BASE_FACTS)
_TEMPLATES = "additional_chat_templates"


def companions(folder: Path) -> Iterator[Path]:
    """Yield the files of the tokenizer, and what else is said beside the weights, if it is there.

    They are copied and never written again: transformers saves a tokenizer that it has read with
    other bytes, and some of its classes with another meaning.
    """
    for name in (*TOKENIZER_FILES, *_OTHERS):
        if (folder / name).is_file():
            yield folder / name
    yield from sorted((folder / _TEMPLATES).glob("*.jinja"))


def copy_companions(folder: Path, to: Path) -> None:
    """Copy them to the folder of a model that was made of this one."""
    for file in companions(folder):
        target = to / file.relative_to(folder)
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(file, target)
