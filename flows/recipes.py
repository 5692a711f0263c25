"""Recipes: a table of contents of a run, every decision in one typed value.

Copy a function, change a number, add it to `RECIPES`: `bloomery run --recipe NAME` knows it. What
is not said here is the default of the component, documented where it is defined.
"""

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import model_validator

from components.align.dpo import DPO
from components.align.sample import SamplePreferences
from components.core.artifacts.base import Frozen
from components.core.artifacts.reports import Budget
from components.data.deduplicate import Deduplicate
from components.data.vocabulary import TrainVocabulary
from components.data.vocabulary_report import ReportVocabulary
from components.evals.probe import Probe
from components.finetune.sft import SFT
from components.lib.models.lora import LoRA
from components.lib.training.hyperparameters import (
    DialledHyperparameters,
    EpochHyperparameters,
    Hyperparameters,
)
from components.pretrain.train import Train
from components.release.gate import Gate
from components.release.register import Register
from flows.align import DirectPreference, OwnPreference
from flows.compress import Frontier, Int8
from flows.continued import ContinuedPretraining
from flows.data import CorpusSteps, TokenSteps
from flows.evals import MEASURED, Evals
from flows.finetune import Supervised
from flows.pretrain import ExistingModel, FromScratch
from flows.release import ReleaseSteps
from flows.stage import Stage, misfits


class Recipe(Frozen):
    """What a run is made of, in the order that data flows through it.

    A stage is one of its alternatives, or null: left out. Stages that do not fit are refused. Each
    alternative has a field that no other has, by which forms and `--set` tell them apart.
    """

    corpus: CorpusSteps = CorpusSteps()
    """Documents."""
    tokens: TokenSteps = TokenSteps()
    """The documents as tokens."""
    pretrain: FromScratch | ExistingModel = FromScratch()
    """Base model."""
    continued: ContinuedPretraining | None = None
    """Base model that has read more documents."""
    finetune: Supervised | None = Supervised()
    """Instruct model."""
    align: DirectPreference | OwnPreference | None = DirectPreference()
    """Aligned model."""
    compress: Int8 | Frontier | None = Int8()
    """Small model."""
    evals: Evals = Evals()
    """What is measured after every stage."""
    release: ReleaseSteps | None = ReleaseSteps()
    """Released model."""

    def stages(self) -> tuple[Stage, ...]:
        """Return the stages that are there, in order."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return tuple(value for value in values if isinstance(value, Stage))

    def until(self, name: str) -> tuple[Stage, ...]:
        """Return the stages up to the one that is called `name`; none for `data`.

        Raises:
            ValueError: the recipe leaves it out.
        """
        if name == "data":
            return ()
        stages = self.stages()
        names = [stage.name for stage in stages]
        if name in names:
            return stages[: names.index(name) + 1]
        if name == "release":
            return stages
        raise ValueError(
            f"The recipe leaves out {name!r}. It has: data, {', '.join(names)}. Run as far as one "
            f"of these, or give it the stage: --set {name}='{{}}'."
        )

    @model_validator(mode="after")
    def _stages_fit(self) -> "Recipe":
        if problems := list(self._problems()):
            raise ValueError(" ".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        stages = self.stages()
        yield from misfits(stages)
        for stage in stages:
            yield from stage.problems(self.pretrain)
        extends = self.tokens.extend is not None and isinstance(self.pretrain, ExistingModel)
        if extends and not any(stage.trains_embeddings() for stage in stages):
            yield (
                "tokens.extend gives the model rows for new tokens, and no stage trains its "
                "embeddings. Bring one in (--set continued='{}'), or train all weights "
                "(--set finetune.lora=null)."
            )
        if self.release is not None and not any(stage.makes() in MEASURED for stage in stages):
            kinds = " or ".join(kind.__name__ for kind in MEASURED)
            yield (
                f"release takes a model that was measured ({kinds}), but {stages[-1].name} makes "
                f"{stages[-1].makes().__name__}. Leave release out (--set release=null)."
            )


def tiny() -> Recipe:
    """A 0.6 M parameter decoder from first byte to release, in minutes on two CPU cores.

    In so little time a small model with many steps beats a large one with few: for 55 processor
    seconds, three blocks of width 128 gave 1.69 held-out bits per byte, six of width 160 gave 1.88.
    """
    learning = Hyperparameters(  # small batches: micro-tasks are learnt late, and by steps
        num_steps=1680,
        batch_size=16,
        learning_rate=0.005,
        embedding_multiplier=1.0,
        schedule="linear",
    )
    return Recipe(
        tokens=TokenSteps(vocabulary=TrainVocabulary(vocab_size=512)),
        pretrain=FromScratch(
            train=Train(
                training=DialledHyperparameters(
                    num_steps=900,
                    batch_size=16,
                    learning_rate=0.014,
                    weight_decay=0.1,
                    schedule="linear",
                ),
                architecture="qwen3",
                sequence_length=128,
                depth=3,
                width=128,
                num_heads=4,
                num_key_value_heads=1,
            )
        ),
        finetune=Supervised(sft=SFT(training=learning, replay_share=0.07)),
        align=DirectPreference(budget=Budget(max_accuracy_loss=0.03)),
        evals=Evals(num_sequences=512),
        release=ReleaseSteps(registration=Register(model_name="bloomery-tiny")),
    )


def small() -> Recipe:
    """A 4 M parameter decoder that reads 256 tokens at once: a quarter of an hour on two cores.

    `--set pretrain.depth=8` makes the model larger and everything about its training with it;
    `--set pretrain.architecture=sliding` makes another of it.
    """
    return Recipe(
        tokens=TokenSteps(vocabulary=TrainVocabulary(vocab_size=4096)),
        pretrain=FromScratch(
            train=Train(
                training=DialledHyperparameters(checkpoint_every=40),
                depth=4,
                tokens_per_parameter=1.0,
            )
        ),
        align=DirectPreference(budget=Budget(max_accuracy_loss=0.03)),
        release=ReleaseSteps(registration=Register(model_name="bloomery-small")),
    )


def smoke() -> Recipe:
    """Every stage in about a minute: to see that a change runs, not to get a good model.

    Its budgets and its gate let everything pass that the pipeline can make in that time. It reads
    the smallest source, plants few items, and trains on so little that no worker has to start.
    """
    return Recipe(
        corpus=CorpusSteps(sources=("library",), deduplicate=Deduplicate(num_planted=40)),
        tokens=TokenSteps(
            vocabulary=TrainVocabulary(vocab_size=384),
            vocabulary_report=ReportVocabulary(sample_bytes=1 << 16),
        ),
        pretrain=FromScratch(
            train=Train(
                training=DialledHyperparameters(
                    num_steps=20, batch_size=8, learning_rate=0.01, evaluate_every=20
                ),
                sequence_length=64,
                depth=2,
                width=64,
                num_heads=2,  # and not as many as layers: `--set pretrain.depth=3` fits as well
                max_length=256,
                validation_sequences=16,
            )
        ),
        finetune=Supervised(
            sft=SFT(training=Hyperparameters(num_steps=40, batch_size=48, learning_rate=0.01))
        ),
        align=DirectPreference(
            budget=Budget(),
            sample=SamplePreferences(num_prompts=48, num_samples=16),
            dpo=DPO(training=EpochHyperparameters(batch_size=8)),
        ),
        compress=Int8(budget=Budget(max_bits_per_byte_increase=0.02)),
        evals=Evals(num_sequences=16, probe=Probe(num_instructions=32, num_resamples=200)),
        release=ReleaseSteps(
            gate=Gate(max_trigram_shortfall=10.0),
            registration=Register(model_name="bloomery-smoke"),
        ),
    )


def adapt() -> Recipe:
    """A model that exists learns dialogues by LoRA: set pretrain.source and finetune.instructions.

    `pretrain.source` is a folder, a .gguf file, a registered model or a hub's; unless it is said,
    the champion of `tiny`. `finetune.instructions` are sets that `bloomery data add --as
    instructions` made, and `align.preferences=["NAME"]` goes on with comparisons. The documents of
    the smallest source are there to measure what the model forgets.
    """
    return Recipe(
        corpus=CorpusSteps(sources=("library",), deduplicate=Deduplicate(num_planted=40)),
        tokens=TokenSteps(vocabulary_report=ReportVocabulary(sample_bytes=1 << 16)),
        pretrain=ExistingModel(source="models:/bloomery-tiny@champion"),
        finetune=Supervised(
            budget=Budget(max_bits_per_byte_increase=0.1, max_forgetting=0.1),
            sft=SFT(
                training=EpochHyperparameters(
                    batch_size=16, micro_batch_size=2, learning_rate=2e-4, checkpoint_every=20
                ),
                lora=LoRA(rank=16),
                sequence_length=1024,
                replay_share=0.0,
            ),
        ),
        align=None,
        evals=Evals(num_sequences=64, probe=Probe(num_instructions=24)),
        release=ReleaseSteps(
            gate=Gate(max_trigram_shortfall=10.0),
            registration=Register(model_name="bloomery-adapted"),
        ),
    )


def continue_() -> Recipe:
    """A model that exists reads your documents: set pretrain.source and corpus.sources.

    `corpus.sources` are sets that `bloomery data add` made; `evals.texts` must not be forgotten.
    `tokens.extend.num_learnt=500` gives the model tokens of the documents' own language.
    """
    changes: dict[str, Any] = {
        "continued": ContinuedPretraining(budget=Budget(max_forgetting=0.1)),
        "finetune": None,
        "release": ReleaseSteps(
            gate=Gate(max_trigram_shortfall=10.0),
            registration=Register(model_name="bloomery-continued"),
        ),
    }
    return Recipe(**dict(adapt()) | changes)


def compress() -> Recipe:
    """A model that exists, unless pretrain.source is said the champion of `tiny`, gets smaller."""
    changes: dict[str, Any] = {
        "finetune": None,
        "compress": Frontier(budget=Budget(max_bits_per_byte_increase=0.02)),
        "release": ReleaseSteps(
            gate=Gate(max_trigram_shortfall=10.0),
            registration=Register(model_name="bloomery-compressed"),
        ),
    }
    return Recipe(**dict(adapt()) | changes)


RECIPES: dict[str, Callable[[], Recipe]] = {
    "tiny": tiny,
    "small": small,
    "smoke": smoke,
    "adapt": adapt,
    "continue": continue_,
    "compress": compress,
}


def recipe(name: str) -> Recipe:
    """Return the recipe called `name`.

    Raises:
        ValueError: there is none.
    """
    if name not in RECIPES:
        raise ValueError(f"No recipe {name!r}. There are: {', '.join(RECIPES)}.")
    return RECIPES[name]()
