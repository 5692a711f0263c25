"""The first model: trained from scratch, or one that exists."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from components.core.artifacts.base import Artifact
from components.core.artifacts.data import Vocabulary
from components.core.artifacts.models import Checkpoint, Encoder
from components.lib.models.shape import Shape
from components.pretrain.existing import Adopt, ModelFolder, vocabulary_of
from components.pretrain.train import Train, TrainInputs
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
    """Begin with a model in Hugging Face layout. It brings its own vocabulary."""

    folder: str = ""
    """Folder with `config.json`, safetensors and `tokenizer.json`: a released model, say."""
    sequence_length: int = Field(default=256, ge=8)
    """Tokens of the sequences that models are measured on."""
    adopt: Adopt = Adopt()
    """How it is taken in."""

    def measured_length(self) -> int:
        """Return the tokens that the recipe says."""
        return self.sequence_length

    def apply(self, model: None, prepared: Prepared) -> Checkpoint:
        """Take the model in."""
        return self._adopted()

    def vocabulary(self) -> Vocabulary:
        """Return the model's own tokenizer."""
        return vocabulary_of(self._adopted())

    def problems(self, base: Base) -> Iterator[str]:
        """Say that a folder is to be named."""
        if not self.folder:
            yield "An existing model needs a folder: set pretrain.folder."

    def _adopted(self) -> Checkpoint:
        return step(self.adopt, ModelFolder.of(Path(self.folder)))
