"""Recipes: a table of contents of a run, every decision in one typed value.

Copy a function, change a number, add it to `RECIPES`: `bloomery run --recipe NAME` knows it. What
is not said here is the default of the component, documented where it is defined.
"""

from collections.abc import Callable
from typing import Any

from components.align.dpo import DPO
from components.align.sample import SamplePreferences
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
from flows.align import DirectPreference
from flows.compress import Frontier, Int8
from flows.continued import ContinuedPretraining
from flows.data import CorpusSteps, TokenSteps
from flows.evals import Evals
from flows.finetune import Supervised
from flows.pretrain import ExistingModel, FromScratch
from flows.recipe import Recipe
from flows.release import ReleaseSteps


def tiny() -> Recipe:
    """A 0.6 M parameter decoder from first byte to release, in minutes on two CPU cores.

    In so little time a small model with many steps beats a large one with few: for 55 processor
    seconds, three blocks of width 128 gave 1.69 held-out bits per byte, six of width 160 gave 1.88.
    """
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
        finetune=Supervised(
            sft=SFT(
                training=Hyperparameters(
                    num_steps=440, batch_size=64, micro_batch_size=32, learning_rate=0.005
                )
            )
        ),
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
    """A model that exists becomes smaller in many ways, of which a budget picks one.

    Set pretrain.source; unless it is said, the champion of `tiny`. `compress.choose` has the
    budget, and `compress.chains` the ways that are tried.
    """
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


def later_than(stage: str) -> list[str]:
    """Return the fields of a recipe that come after a stage, and may be left out."""
    names = list(Recipe.model_fields)
    start = names.index("pretrain" if stage == "data" else stage) + 1
    return [name for name in names[start:] if name != "evals"]


def recipe(name: str) -> Recipe:
    """Return the recipe called `name`.

    Raises:
        ValueError: there is none.
    """
    if name not in RECIPES:
        raise ValueError(f"No recipe {name!r}. There are: {', '.join(RECIPES)}.")
    return RECIPES[name]()
