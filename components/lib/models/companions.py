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

_SAY_A_VOCABULARY = (
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "added_tokens.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)  # in other words than tokenizer.json
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


def copy_tokenizer(folder: Path, to: Path) -> None:
    """Set the tokenizer in `folder`, and its chat templates, in place of what `to` has of one.

    What says its vocabulary a second time, for programs that cannot read a tokenizer.json, is left
    out: of a tokenizer that was changed it is not true any more.
    """
    for name in TOKENIZER_FILES:
        (to / name).unlink(missing_ok=True)
        if (folder / name).is_file() and name not in _SAY_A_VOCABULARY:
            shutil.copyfile(folder / name, to / name)
    for file in sorted((folder / _TEMPLATES).glob("*.jinja")):
        (to / _TEMPLATES).mkdir(exist_ok=True)
        shutil.copyfile(file, to / _TEMPLATES / file.name)
