"""What a stage of a recipe is: it takes a model, makes another, and may cost so much."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, get_args, get_type_hints

from components.core.artifacts.base import Artifact, Frozen
from components.core.artifacts.data import (
    Comparisons,
    DataCard,
    Dialogues,
    EvaluationSets,
    Instructions,
    Preferences,
    TokenShards,
    Vocabulary,
)
from components.core.artifacts.models import Checkpoint
from components.core.artifacts.reports import Budget
from components.data.preparation.preparation import PrepareInputs
from components.lib.models.config import context_length, raw_config
from components.lib.models.shape import Shape


class NamedSets(Frozen):
    """The sets of `data/` that stages of a run ask for by name."""

    instructions: tuple[str, ...] = ()
    """Sets of dialogues; none means the built-in micro-tasks."""
    preferences: tuple[str, ...] = ()
    """Sets of comparisons; none means the built-in prompts."""
    replay: tuple[str, ...] = ()
    """Sources of documents that are read again among others; none means no replay."""


class Prepared(Frozen):
    """The data that stages read, each kind with a fingerprint of its own."""

    vocabulary: Vocabulary
    """The tokenizer."""
    shards: TokenShards
    """The clean documents as tokens."""
    instructions: Instructions
    """Dialogues to fine-tune on: the micro-tasks, or the sets that the recipe names."""
    preferences: Preferences
    """Prompts whose answers are compared, or the sets of comparisons that the recipe names."""
    evaluation: EvaluationSets
    """What models are tested on, and never trained on."""
    card: DataCard
    """What the documents are."""
    replay: TokenShards | None = None
    """Clean documents to be read again, as tokens; None where no stage asks for any."""

    def fit_for(self, model: Checkpoint) -> PrepareInputs:
        """Return what dialogues and comparisons are prepared by for a model to learn them."""
        return PrepareInputs(
            evaluation=self.evaluation,
            vocabulary=self.vocabulary,
            max_length=context_length(raw_config(model.path)),
        )


class Stage(Frozen, ABC):
    """One method of a stage. Its fields are components, configured; `apply` says how they join.

    The annotations of `apply` are its contract: a recipe refuses a stage that takes another model
    than the stage before it makes.
    """

    budget: Budget = Budget()
    """What it may cost the model; the gate of the release holds it."""

    @property
    def name(self) -> str:
        """The module that the stage lives in: `flows/finetune.py` is `finetune`."""
        return type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def apply(self, model: Any, prepared: Prepared) -> Any:
        """Return the model that this stage makes of `model`, by calls of `step`."""

    def takes(self) -> tuple[type[Artifact], ...]:
        """Return the classes of models that it takes."""
        return _classes(get_type_hints(type(self).apply)["model"])

    def makes(self) -> type[Artifact]:
        """Return the class of model that it makes."""
        (made,) = _classes(get_type_hints(type(self).apply)["return"])
        return made

    def held_out(self, model: Checkpoint, prepared: Prepared) -> Instructions | None:
        """Return the dialogues on which models of a run that begins with `model` are measured."""
        return None

    def learnt(self, model: Any, prepared: Prepared) -> tuple[Dialogues | Comparisons, ...]:
        """Return the named sets that it has learnt, as `apply` had them prepared for `model`."""
        return ()

    def sets(self) -> NamedSets:
        """Return the sets of `data/` that it reads: each must be there before anything runs."""
        return NamedSets()

    def trains_embeddings(self) -> bool:
        """Say whether rows of the vocabulary are learnt, as new tokens need it."""
        return False

    def problems(self, base: "Base") -> Iterator[str]:
        """Yield a sentence for everything that this stage cannot do with a model of `base`."""
        yield from ()


class Base(Stage):
    """A stage that a recipe begins with: it takes no model."""

    @abstractmethod
    def apply(self, model: None, prepared: Prepared) -> Checkpoint:
        """Return the first model."""

    @abstractmethod
    def measured_length(self) -> int:
        """Return the tokens of the sequences that models are measured on: as they were trained."""

    def shape(self) -> Shape | None:
        """Return the sizes of the model, None where they are not known before it is there."""
        return None

    def config(self) -> Mapping[str, Any] | None:
        """Return the `config.json` of a model that exists, None where it is not known before."""
        return None

    def vocabulary(self) -> Vocabulary | None:
        """Return the tokenizer that the model brings along; None where the recipe makes one."""
        return None


def sets_of(stages: Iterable[Stage]) -> NamedSets:
    """Return the sets that some stages read, all together."""
    found = [stage.sets() for stage in stages]
    return NamedSets(
        instructions=tuple(name for each in found for name in each.instructions),
        preferences=tuple(name for each in found for name in each.preferences),
        replay=tuple(name for each in found for name in each.replay),
    )


def misfits(stages: Sequence[Stage]) -> Iterator[str]:
    """Yield a sentence for each stage that takes another model than the one before it makes."""
    for before, after in pairwise(stages):
        if not fits(before.makes(), after):
            taken = " or ".join(kind.__name__ for kind in after.takes())
            yield (
                f"{after.name} ({type(after).__name__}) takes {taken}, but "
                f"{before.name} ({type(before).__name__}) makes {before.makes().__name__}. "
                f"Leave {after.name} out (--set {after.name}=null), or change {before.name}."
            )


def fits(made: type[Artifact], stage: Stage) -> bool:
    """Return whether `stage` takes a model of the class `made`.

    An encoder is a checkpoint of its own kind: what takes any checkpoint continues text.
    """
    return made in stage.takes()


def _classes(annotation: Any) -> tuple[type[Artifact], ...]:
    return get_args(annotation) or (annotation,)
