"""Adopt: a model in a folder -> a checkpoint that a recipe can begin with."""

import json
import shutil
from pathlib import Path
from typing import ClassVar

from components.core.artifacts.base import Artifact
from components.core.artifacts.data import Vocabulary
from components.core.artifacts.models import Checkpoint
from components.core.component import Component
from components.core.files import link_or_copy
from components.core.record import adopt

_FILES = ("config.json", "tokenizer.json")


class ModelFolder(Artifact):
    """A model in Hugging Face layout that no step of this run made: its content is its identity."""

    @classmethod
    def of(cls, folder: Path) -> "ModelFolder":
        """Name a folder by what is in it.

        Raises:
            ValueError: it holds no model with weights in safetensors and a tokenizer.
        """
        folder = folder.expanduser().resolve()
        missing = [name for name in _FILES if not (folder / name).is_file()]
        missing += [] if any(folder.glob("*.safetensors")) else ["*.safetensors"]
        if missing:
            raise ValueError(
                f"{folder} has no {', '.join(missing)}, so it is no model to begin with. Save one "
                "there with `save_pretrained` of transformers, model and tokenizer."
            )
        return cls(path=folder, fingerprint=adopt(folder))


class Adopt(Component[ModelFolder, Checkpoint]):
    """Take a model in: its files are linked, its weights are checked against its config.

    Writes the folder as it is. The tokenizer must have the platform's chat template and special
    tokens, as every model that the platform made has.
    """

    version: ClassVar[str] = "1.0.0"

    def run(self, inputs: ModelFolder, out: Path) -> Checkpoint:
        """Link the files, then load the model once.

        Raises:
            ValueError: the weights do not fit the config, or the tokenizer lacks a special token.
        """
        from components.lib.models.folders import describe, load_tokenizer
        from components.lib.text.chat import SPECIAL_TOKENS

        for file in inputs.path.iterdir():
            if file.is_file() and not file.name.startswith(".") and file.name != "artifact.json":
                (out / file.name).unlink(missing_ok=True)
                link_or_copy(file, out / file.name)
        known = load_tokenizer(out).get_vocab()
        if missing := [token for token in SPECIAL_TOKENS if token not in known]:
            raise ValueError(
                f"The tokenizer in {inputs.path} has no {', '.join(missing)}, which the stages "
                "after it need. Begin with a model that this platform made."
            )
        shutil.copystat(inputs.path, out)
        return describe(out, _context_length(out))


def _context_length(folder: Path) -> int:
    """Return the longest context that a config declares, in tokens."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    return config.get("max_position_embeddings") or config["n_positions"]


def vocabulary_of(model: Checkpoint) -> Vocabulary:
    """Return the tokenizer that lies beside a model."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model.path / "tokenizer.json"))
    size = max(tokenizer.get_vocab().values()) + 1
    return Vocabulary(path=model.path, fingerprint=model.fingerprint, vocab_size=size)
