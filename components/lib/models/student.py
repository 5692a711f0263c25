"""What a student is made of: some of its teacher's layers, or a shape of its own."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.lib.models.architectures.named import ARCHITECTURES
from components.lib.models.dial import shape_at
from components.lib.models.shape import ModelKind, Shape

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Student(Frozen, ABC):
    """How a student comes to be. It has its teacher's vocabulary."""

    @abstractmethod
    def problems(self, config: dict[str, Any], sequence_length: int) -> Iterator[str]:
        """Yield why it cannot be made of a teacher with this config, or read such sequences."""

    @abstractmethod
    def build(self, teacher: "PreTrainedModel", tokenizer: Path, seed: int) -> "PreTrainedModel":
        """Return the student as it begins; the teacher stays as it is."""


class CopiedLayers(Student):
    """Fewer of the teacher's own layers, with its embeddings, norms and head.

    They are spread evenly and the first and the last are among them (Sanh et al. 2019, DistilBERT,
    takes every second one; Sreenivas et al. 2024, arXiv 2408.11796, keep both ends).
    """

    keep_layers: int | None = Field(default=None, ge=1)
    """How many layers are copied; else half of them, rounded up."""

    def kept(self, num_layers: int) -> list[int]:
        """Return which of a teacher's layers are copied, from 0."""
        number = self.keep_layers or -(-num_layers // 2)
        steps = max(1, number - 1)
        return [(index * (num_layers - 1) + steps // 2) // steps for index in range(number)]

    def problems(self, config: dict[str, Any], sequence_length: int) -> Iterator[str]:
        """Yield what is wrong: more layers than the teacher has, or too short a context."""
        from components.lib.models.config import context_length, num_layers

        found = num_layers(config)
        if (self.keep_layers or 1) > found:
            yield (
                f"keep_layers={self.keep_layers} is more than the {found} layers of the teacher: "
                f"lower it to {max(1, found // 2)}."
            )
        if (longest := context_length(config)) < sequence_length:
            yield _too_long(sequence_length, longest)

    def build(self, teacher: "PreTrainedModel", tokenizer: Path, seed: int) -> "PreTrainedModel":
        """Return the teacher with these layers alone."""
        from components.lib.models.fewer_layers import with_layers

        return with_layers(teacher, self.kept(teacher.config.get_text_config().num_hidden_layers))


class NewShape(Student, ModelKind):
    """A model of its own size and random weights, as pretraining makes it.

    `depth` sets what is not given, as in `pretrain.train`.
    """

    depth: int = Field(default=2, ge=1)
    """Number of blocks."""
    width: int | None = Field(default=None, ge=16)
    """Size of the residual stream; else 64 x depth."""
    num_heads: int | None = Field(default=None, ge=1)
    """Attention heads; else one for each 64 of the width that depth gives."""
    num_key_value_heads: int | None = Field(default=None, ge=1)
    """Heads of keys and values; else what the architecture takes for so many heads."""

    @property
    def shape(self) -> Shape:
        """The sizes of the model: those that are given, and for the others what depth says."""
        given = {"width": self.width, "num_heads": self.num_heads}
        sizes = shape_at(self.depth) | {name: size for name, size in given.items() if size}
        default = ARCHITECTURES[self.architecture].default_num_key_value_heads(sizes["num_heads"])
        sizes["num_key_value_heads"] = self.num_key_value_heads or default
        kind = {name: getattr(self, name) for name in ModelKind.model_fields}
        return Shape.model_validate(kind | sizes)

    def problems(self, config: dict[str, Any], sequence_length: int) -> Iterator[str]:
        """Yield what is wrong: sizes that do not fit each other, or too short a context."""
        architecture = ARCHITECTURES[self.architecture]
        if architecture.reads_both_ways:
            yield f"architecture={self.architecture!r} continues no text: take a decoder."
            return
        yield from architecture.problems(self.shape)
        if self.max_length < sequence_length:
            yield _too_long(sequence_length, self.max_length)

    def build(self, teacher: "PreTrainedModel", tokenizer: Path, seed: int) -> "PreTrainedModel":
        """Return the model with random weights."""
        return self.made(teacher.config.get_text_config().vocab_size, tokenizer, seed)

    def made(self, vocab_size: int, tokenizer: Path, seed: int) -> "PreTrainedModel":
        """Return the model with random weights, for so many tokens of a tokenizer."""
        from components.lib.models.build import SpecialIds, build_model
        from components.lib.models.folders import load_tokenizer
        from components.lib.text.chat import padding_id
        from components.lib.text.framing import framing

        ids = SpecialIds(framing(tokenizer).end, padding_id(load_tokenizer(tokenizer)))
        return build_model(self.shape, vocab_size, ids, seed)


def _too_long(sequence_length: int, longest: int) -> str:
    return (
        f"sequence_length={sequence_length} is longer than the context of the student, {longest} "
        f"tokens: lower it to {longest} at most."
    )
