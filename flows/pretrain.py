"""The first model: trained from scratch, or one that exists."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from components.core.artifacts.base import Artifact
from components.core.artifacts.data import Vocabulary
from components.core.artifacts.models import Checkpoint, Encoder
from components.lib.models.config import context_length, raw_config, reads
from components.lib.models.shape import Shape
from components.pretrain.existing import Adopt, unusable, vocabulary_of
from components.pretrain.sources import local, resolve
from components.pretrain.train import Train, TrainInputs
from components.pretrain.widen import Widen, WidenInputs
from flows.stage import Base, Prepared
from flows.step import step


class FromScratch(Base):
    """Train a model on the tokens of the corpus, under Ray Train."""

    train: Train = Train()
    """The model and its training."""

    def measured_length(self) -> int:
        """Return the tokens of a training sequence."""
        return self.train.sequence_length

    def apply(self, model: None, prepared: Prepared) -> Checkpoint:
        """Pretrain on `prepared.shards`."""
        inputs = TrainInputs(shards=prepared.shards, vocabulary=prepared.vocabulary)
        return step(self.train, inputs)

    def shape(self) -> Shape:
        """Return the sizes that the recipe says."""
        return self.train.shape

    def makes(self) -> type[Artifact]:
        """Return the class of model that the architecture is."""
        return Encoder if self.train.reads_both_ways else Checkpoint


class ExistingModel(Base):
    """Begin with a model that somebody made. It brings its own vocabulary and chat template."""

    source: str = ""
    """Where it is: a folder with safetensors, a `.gguf` file, an artifact of an earlier run,
    `models:/NAME@champion`, `models:/NAME/3`, or `hf://NAME@REVISION` on the Hugging Face hub."""
    content: str = Field(default="", pattern=r"^([0-9a-f]{16})?$")
    """Fingerprint that it must have, as its card says; empty takes whatever is there."""
    sequence_length: int = Field(default=256, ge=8)
    """Tokens of the sequences that models are measured on."""
    adopt: Adopt = Adopt()
    """How it is taken in."""
    widen: Widen = Widen()
    """How it learns to spell tokens that its vocabulary is extended by (tokens.extend)."""

    def measured_length(self) -> int:
        """Return the tokens that the recipe says."""
        return self.sequence_length

    def apply(self, model: None, prepared: Prepared) -> Checkpoint:
        """Take the model in, and widen it where its vocabulary was extended."""
        adopted = self._adopted()
        if prepared.vocabulary.fingerprint == vocabulary_of(adopted).fingerprint:
            return adopted
        return step(self.widen, WidenInputs(model=adopted, vocabulary=prepared.vocabulary))

    def vocabulary(self) -> Vocabulary:
        """Return the model's own tokenizer."""
        return vocabulary_of(self._adopted())

    def config(self) -> dict[str, Any] | None:
        """Return the `config.json` of a folder on this machine."""
        place = local(self.source) if self.source else None
        if place is None or not (place / "config.json").is_file():
            return None
        try:
            return raw_config(place)
        except ValueError:
            return None  # said when the model is taken in

    def makes(self) -> type[Artifact]:
        """Return the class of model that the config names; a decoder where it is not known yet."""
        config = self.config()
        return Encoder if config is not None and reads(config) == "encoder" else Checkpoint

    def problems(self, base: Base) -> Iterator[str]:
        """Say what is to be named, and what of a model on this machine no stage can use."""
        if not self.source:
            yield "An existing model needs a source: set pretrain.source."
        elif (config := self.config()) is not None:
            if reason := unusable(config):
                yield f"{self.source} cannot be used: {reason}"
            yield from self._too_long(config)

    def _too_long(self, config: dict[str, Any]) -> Iterator[str]:
        try:
            longest = context_length(config)
        except ValueError as error:
            yield str(error)
            return
        if self.sequence_length > longest:
            yield (
                f"pretrain.sequence_length is {self.sequence_length}, and the context of "
                f"{self.source} holds {longest} tokens: set it to that at most."
            )

    def _adopted(self) -> Checkpoint:
        made = step(self.adopt, resolve(self.source, self.content))
        config = raw_config(made.path)
        if self.makes() is Checkpoint and reads(config) == "encoder":
            raise ValueError(
                f"{self.source} is an encoder ({config['architectures'][0]}), which continues no "
                "text. Fetch it to a folder, name that, and leave out the stages after it."
            )
        for problem in self._too_long(config):
            raise ValueError(problem)
        return made
