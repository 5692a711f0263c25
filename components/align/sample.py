"""SamplePreferences: a model's own samples, ranked by the checker -> preference pairs."""

import json
import random
from itertools import islice
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import PreferencePairs, Preferences
from components.core.artifacts.models import Checkpoint
from components.core.component import Component
from components.core.settings import settings


class SampleInputs(Frozen):
    """What `SamplePreferences` reads."""

    model: Checkpoint
    """The policy that is sampled: the one that will be aligned."""
    preferences: Preferences
    """Prompts, none of which is trained or tested on."""


class SamplePreferences(Component[SampleInputs, PreferencePairs]):
    """Sample several answers to each prompt and pair right ones with wrong ones.

    The checker is the judge, so a pair is never a matter of taste. Prompts whose samples are all
    right or all wrong teach nothing and make no pair. Writes `pairs.jsonl` with `prompt` (rendered
    by the chat template), `chosen` and `rejected`.
    """

    version: ClassVar[str] = "1.1.0"

    num_prompts: int = Field(default=512, ge=1)
    """Prompts, the same number of each kind and level as far as there are any."""
    num_samples: int = Field(default=4, ge=2)
    """Samples of each prompt."""
    max_pairs_per_prompt: int = Field(default=2, ge=1)
    """Pairs that one prompt may give."""
    temperature: float = Field(default=1.0, gt=0)
    """Temperature of the samples."""
    seed: int = 0
    """Seed of the samples and of the pairing."""

    def run(self, inputs: SampleInputs, out: Path) -> PreferencePairs:
        """Write the pairs.

        Raises:
            ValueError: no prompt got both a right and a wrong answer.
        """
        import torch

        from components.lib.inference.answers import MAX_ANSWER_TOKENS
        from components.lib.inference.torch_model import TorchModel
        from components.lib.models.folders import load_model, load_tokenizer
        from components.lib.tasks.microtasks import is_correct, read_microtasks, take_evenly
        from components.lib.text.chat import decode, encode_prompt, render_prompt

        torch.set_num_threads(settings().num_threads)
        tokenizer = load_tokenizer(inputs.model.path)
        model = TorchModel(load_model(inputs.model.path))
        file = inputs.preferences.path / "prompts.jsonl"
        tasks = take_evenly(read_microtasks(file), self.num_prompts)
        repeated = [task for task in tasks for _ in range(self.num_samples)]
        prompts = [encode_prompt(tokenizer, task.prompt) for task in repeated]
        ids = model.sample(prompts, MAX_ANSWER_TOKENS, self.temperature, self.seed)
        samples = [(t, decode(tokenizer, row)) for t, row in zip(repeated, ids, strict=True)]

        shuffle = random.Random(self.seed)
        rows: list[dict[str, str]] = []
        num_right = 0
        for start in range(0, len(samples), self.num_samples):
            answered = samples[start : start + self.num_samples]
            task = answered[0][0]
            right = sorted({text for _, text in answered if is_correct(task, text)})
            wrong = sorted({text for _, text in answered if not is_correct(task, text)})
            num_right += sum(is_correct(task, text) for _, text in answered)
            shuffle.shuffle(wrong)
            prompt = render_prompt(tokenizer, task.prompt)
            pairs = ((chosen, rejected) for rejected in wrong for chosen in right)
            for chosen, rejected in islice(pairs, self.max_pairs_per_prompt):
                rows.append({"prompt": prompt, "chosen": chosen, "rejected": rejected})
        if not rows:
            raise ValueError(
                f"{self.num_samples} samples of each of {len(tasks)} prompts gave no pair: "
                f"{num_right} of {len(samples)} answers were right. Raise num_samples or "
                "temperature, or fine-tune longer."
            )
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (out / "pairs.jsonl").write_text("".join(lines), encoding="utf-8")
        return PreferencePairs(
            path=out, num_pairs=len(rows), sampled_accuracy=num_right / len(samples)
        )
