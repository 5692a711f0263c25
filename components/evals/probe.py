"""Probe: any model -> the same few numbers, taken after every stage.

The probe is frozen: the same held-out text, instructions and prompts each time, so that what a
stage gained or damaged is the difference of two reports.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import EvaluationSets, Instructions, TokenShards
from components.core.artifacts.models import Checkpoint, CompressedModel
from components.core.artifacts.reports import HeldOutText, Interval, ProbeReport
from components.core.component import Component
from components.core.files import write_json
from components.core.settings import settings

if TYPE_CHECKING:
    import numpy as np

    from components.lib.inference.language_model import LanguageModel
    from components.lib.inference.texts import TextScore

_PROMPTS = (
    "The state of the Union is",
    "I recommend to the Congress",
    "Our relations with foreign nations",
    "Return the",
)


class ProbeInputs(Frozen):
    """What `Probe` reads."""

    model: Checkpoint | CompressedModel
    """The model to measure."""
    shards: TokenShards
    """Held-out text in its `test` split."""
    evaluation: EvaluationSets
    """Held-out micro-tasks, in its `test.jsonl`."""
    held_out: HeldOutText = HeldOutText()
    """Which held-out text it is measured on."""
    instructions: Instructions | None = None
    """Dialogues, of which those in `validation.jsonl` are held out; None if the run has none."""


class Probe(Component[ProbeInputs, ProbeReport]):
    """Measure bits per byte on held-out text and accuracy on held-out micro-tasks.

    Where asked for, also the nats of the answers of held-out dialogues, and bits per byte on
    evaluation sets. Writes `report.json`: the numbers, the outcome of each micro-task with the
    model's answer, and what the model makes of a fixed set of beginnings.
    """

    version: ClassVar[str] = "2.1.0"

    num_instructions: int = Field(default=480, ge=1)
    """Held-out micro-tasks, the same number of each kind and level."""
    num_resamples: int = Field(default=2000, ge=100)
    """Bootstrap resamples that give the interval of the accuracy."""
    seed: int = 0
    """Seed of the bootstrap."""
    texts: tuple[str, ...] = ()
    """Evaluation sets on whose documents bits per byte are measured too, to see what is
    forgotten."""
    text_tokens: int = Field(default=16_384, ge=2)
    """Tokens that are read of each of them, from its beginning."""
    text_window: int = Field(default=1_024, ge=2)
    """Tokens that are read at once, fewer if the context is shorter; windows do not overlap."""

    def run(self, inputs: ProbeInputs, out: Path) -> ProbeReport:
        """Measure the model and write `report.json`."""
        import numpy as np

        from components.lib.inference.answers import answers
        from components.lib.inference.held_out import HeldOut
        from components.lib.models.folders import load_tokenizer
        from components.lib.tasks.microtasks import is_correct, read_microtasks, take_evenly
        from components.lib.text.chat import decode, encode_text

        model = open_model(inputs.model)
        tokenizer = load_tokenizer(inputs.model.path)
        held_out = HeldOut.of(inputs.shards, inputs.held_out)
        all_tasks = read_microtasks(inputs.evaluation.path / "test.jsonl")
        tasks = take_evenly(all_tasks, self.num_instructions)
        given = answers(model, tokenizer, tasks)
        right = np.array([is_correct(t, a) for t, a in zip(tasks, given, strict=True)], float)
        kinds = np.array([task.task for task in tasks])
        beginnings = [encode_text(tokenizer, text) for text in _PROMPTS]
        completions = [decode(tokenizer, row) for row in model.generate(beginnings, 32)]
        texts = self._texts(model, inputs)

        report = ProbeReport(
            path=out,
            model=inputs.model.fingerprint,
            bits_per_byte=held_out.bits_per_byte(model),
            accuracy=float(right.mean()),
            accuracy_interval=self._interval(right),
            accuracy_by_task={str(k): float(right[kinds == k].mean()) for k in np.unique(kinds)},
            answer_nats=_answer_nats(model, inputs),
            texts={name: found.bits_per_byte for name, found in texts.items()},
        )
        items = [
            {**task.model_dump(include={"id", "prompt", "answer"}), "given": text, "right": bool(r)}
            for task, text, r in zip(tasks, given, right, strict=True)
        ]
        samples = dict(zip(_PROMPTS, completions, strict=True))
        numbers = report.model_dump(mode="json", exclude={"path", "fingerprint"})
        scores = {name: found._asdict() for name, found in texts.items()}
        told = {"text_scores": scores, "completions": samples, "items": items}
        write_json(out / "report.json", {**numbers, **told})
        return report

    def _texts(self, model: "LanguageModel", inputs: ProbeInputs) -> "dict[str, TextScore]":
        """Return what the model makes of the evaluation sets that are asked for.

        Raises:
            ValueError: there is no such set.
        """
        if not self.texts:
            return {}
        from components.lib.inference.texts import TextScorer
        from components.lib.models.folders import load_tokenizer

        there = inputs.evaluation.names
        if missing := sorted({*self.texts} - {*there}):
            raise ValueError(
                f"evals.texts names {', '.join(missing)}, and the evaluation sets are "
                f"{', '.join(there) or 'none'}. Add it: `bloomery data add {missing[0]} SOURCE "
                "--as evaluation`."
            )
        folder = inputs.model.path
        window = min(self.text_window, model.context_length)
        scorer = TextScorer(folder, load_tokenizer(folder), window)
        folders = {name: inputs.evaluation.path / name for name in self.texts}
        return {
            name: scorer.score(model, _text_of(place), self.text_tokens)
            for name, place in folders.items()
        }

    def _interval(self, right: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> Interval:
        """Return the 95 % percentile interval of the mean (Efron and Tibshirani 1993, ch. 13)."""
        import numpy as np

        random = np.random.default_rng(self.seed)
        draws = random.integers(len(right), size=(self.num_resamples, len(right)))
        low, high = np.percentile(right[draws].mean(axis=1), [2.5, 97.5])
        return Interval(low=float(low), high=float(high))


def _answer_nats(model: "LanguageModel", inputs: ProbeInputs) -> float | None:
    if inputs.instructions is None:
        return None
    from components.lib.examples.dialogues import Dialogues
    from components.lib.inference.answer_nats import answer_nats
    from components.lib.models.folders import load_tokenizer
    from components.lib.text.dialogue import read_dialogues

    held_out = list(read_dialogues(inputs.instructions.path / "validation.jsonl"))
    return answer_nats(model, Dialogues(load_tokenizer(inputs.model.path), held_out, 1))


def _text_of(folder: Path) -> str:
    """Return the documents of an evaluation set, one after the other."""
    texts: list[str] = []
    for file in sorted(folder.glob("documents*.jsonl")):
        with file.open(encoding="utf-8", newline="\n") as lines:
            texts += (json.loads(line)["text"] for line in lines)
    return "\n\n".join(texts)


def open_model(model: Checkpoint | CompressedModel) -> "LanguageModel":
    """Load a model with the interface that measurements use."""
    from components.lib.inference.conversation import open_model as open_folder

    if not isinstance(model, CompressedModel):
        import torch

        torch.set_num_threads(settings().num_threads)
    return open_folder(model.path, settings().num_threads)
