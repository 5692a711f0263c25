"""Recipes: every decision of a run in one typed value, every recipe one function.

Copy a function, change a number, add it to `RECIPES`: `bloomery run --recipe NAME` knows it. What
is not said here is the default of the component, documented where it is defined.
"""

from collections.abc import Callable

from components.align.dpo import DPO
from components.align.sample import SamplePreferences
from components.compress.quantize import Quantize
from components.core.artifacts.base import Frozen
from components.data.card import Card
from components.data.clean import Clean
from components.data.decontaminate import Decontaminate
from components.data.deduplicate import Deduplicate
from components.data.existing_vocabulary import ExistingVocabulary
from components.data.mask import Mask
from components.data.scan import Scan
from components.data.split import Split
from components.data.tokenize import Tokenize
from components.data.validate import Validate
from components.data.vocabulary import TrainVocabulary
from components.data.vocabulary_report import ReportVocabulary
from components.evals.baselines import Baselines
from components.evals.probe import Probe
from components.finetune.sft import SFT
from components.lib.training.hyperparameters import DialledHyperparameters, Hyperparameters
from components.pretrain.train import Train
from components.release.gate import Gate
from components.release.register import Register
from flows.approval import Approval


class Recipe(Frozen):
    """The components of a pipeline, configured, in the order that data flows through them."""

    sources: tuple[str, ...] = ()
    """Folders of `data/` whose documents are read, such as `["web"]`; none means all."""
    clean: Clean
    """Documents that are worth reading."""
    deduplicate: Deduplicate
    """Documents of which no two are the same."""
    decontaminate: Decontaminate = Decontaminate()
    """Documents without what models are evaluated on."""
    mask: Mask = Mask()
    """Documents without personal data."""
    split: Split
    """Documents in splits."""
    vocabulary: TrainVocabulary | ExistingVocabulary
    """Tokenizer."""
    vocabulary_report: ReportVocabulary = ReportVocabulary()
    """What it makes of held-out text."""
    tokenize: Tokenize
    """Token shards."""
    scan: Scan = Scan()
    """Evaluation items in the tokens themselves."""
    card: Card = Card()
    """What the data is."""
    validation: Validate = Validate()
    """What has to hold of it."""
    pretrain: Train
    """Base model."""
    sft: SFT
    """Instruct model."""
    sample: SamplePreferences
    """Preference pairs."""
    dpo: DPO
    """Aligned model."""
    quantize: Quantize
    """Small model."""
    baselines: Baselines
    """What a model must beat."""
    probe: Probe
    """What is measured after every stage."""
    gate: Gate
    """What a release must hold."""
    approval: Approval = Approval()
    """Whether a person is asked before it is released."""
    release: Register
    """Released model."""


def tiny() -> Recipe:
    """A 2 M parameter decoder from first byte to release, in minutes on two CPU cores."""
    return Recipe(
        clean=Clean(),
        deduplicate=Deduplicate(),
        split=Split(),
        vocabulary=TrainVocabulary(vocab_size=512),
        tokenize=Tokenize(),
        pretrain=Train(
            training=DialledHyperparameters(
                num_steps=400, batch_size=32, learning_rate=0.01, weight_decay=0.1
            ),
            sequence_length=128,
            depth=6,
            width=160,
            num_heads=5,
            num_key_value_heads=1,
        ),
        sft=SFT(
            training=Hyperparameters(
                num_steps=480,
                batch_size=64,
                micro_batch_size=32,
                learning_rate=0.005,
            )
        ),
        sample=SamplePreferences(),
        dpo=DPO(),
        quantize=Quantize(),
        baselines=Baselines(sequence_length=128, num_sequences=512),
        probe=Probe(sequence_length=128, num_sequences=512),
        gate=Gate(max_alignment_accuracy_loss=0.03),
        release=Register(model_name="bloomery-tiny"),
    )


def small() -> Recipe:
    """A 4 M parameter decoder that reads 256 tokens at once: a quarter of an hour on two cores.

    `--set pretrain.depth=8` makes the model larger and everything about its training with it;
    `--set pretrain.architecture=moe` makes another of it.
    """
    base = tiny()
    return base.model_copy(
        update={
            "vocabulary": TrainVocabulary(vocab_size=4096),
            "pretrain": Train(
                training=DialledHyperparameters(checkpoint_every=40),
                depth=4,
                tokens_per_parameter=1.0,
            ),
            "baselines": Baselines(sequence_length=256, num_sequences=256),
            "probe": Probe(sequence_length=256, num_sequences=256),
            "release": Register(model_name="bloomery-small"),
        }
    )


def smoke() -> Recipe:
    """Every stage in a few seconds: to see that a change runs, not to get a model that is any good.

    Its gate lets everything pass that the pipeline can make in that time.
    """
    return Recipe(
        clean=Clean(),
        deduplicate=Deduplicate(),
        split=Split(),
        vocabulary=TrainVocabulary(vocab_size=512),
        tokenize=Tokenize(),
        pretrain=Train(
            training=DialledHyperparameters(
                num_steps=20, batch_size=8, learning_rate=0.01, evaluate_every=10
            ),
            sequence_length=64,
            depth=2,
            width=64,
            max_length=256,
        ),
        sft=SFT(training=Hyperparameters(num_steps=40, batch_size=64, learning_rate=0.01)),
        sample=SamplePreferences(num_prompts=64, num_samples=16),
        dpo=DPO(batch_size=8),
        quantize=Quantize(),
        baselines=Baselines(sequence_length=64, num_sequences=32),
        probe=Probe(sequence_length=64, num_sequences=32, num_instructions=48),
        gate=Gate(
            max_trigram_shortfall=10.0,
            max_alignment_accuracy_loss=1.0,
            max_compression_accuracy_loss=1.0,
        ),
        release=Register(model_name="bloomery-smoke"),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {"tiny": tiny, "small": small, "smoke": smoke}


def recipe(name: str) -> Recipe:
    """Return the recipe called `name`.

    Raises:
        ValueError: there is none.
    """
    if name not in RECIPES:
        raise ValueError(f"No recipe {name!r}. There are: {', '.join(RECIPES)}.")
    return RECIPES[name]()
