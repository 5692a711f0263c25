"""A transformers model behind the interface that measurements and the command line use."""

# B = sequences, T = tokens of a sequence, V = vocabulary

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from transformers import GenerationConfig, PreTrainedModel

from components.lib.device import autocast, device, move

_BATCH = 128


class TorchModel:
    """Scores and continues token ids with a transformers causal language model."""

    def __init__(self, model: PreTrainedModel) -> None:
        """Wrap `model` and move it to this process's device."""
        self._model: Any = move(model)
        self._end = int(model.config.eos_token_id)
        self._padding = int(model.config.pad_token_id)

    @torch.no_grad()
    def negative_log_likelihood(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the nats of each target of `ids` (B, T + 1), shape (B, T)."""
        rows = torch.from_numpy(ids).to(device())
        with autocast():
            logits = self._model(input_ids=rows[:, :-1], use_cache=False).logits
        nats = F.cross_entropy(logits.float().transpose(1, 2), rows[:, 1:], reduction="none")
        return nats.cpu().numpy()

    def generate(self, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        """Return the greedy continuation of each prompt, without the end-of-text token."""
        return self._generate(prompts, GenerationConfig(max_new_tokens=max_new_tokens))

    def sample(
        self, prompts: list[list[int]], max_new_tokens: int, temperature: float, seed: int
    ) -> list[list[int]]:
        """Return a random continuation of each prompt, drawn from softmax(logits / temperature)."""
        torch.manual_seed(seed)
        config = GenerationConfig(
            max_new_tokens=max_new_tokens, do_sample=True, temperature=temperature, top_k=0
        )
        return self._generate(prompts, config)

    @torch.no_grad()
    def next_token_probabilities(self, ids: list[int], num_tokens: int) -> list[tuple[int, float]]:
        """Return the `num_tokens` likeliest next tokens and their probabilities, best first."""
        row = torch.tensor([ids], device=device())
        logits = self._model(input_ids=row, use_cache=False).logits[0, -1]
        top = logits.float().softmax(-1).topk(num_tokens)
        return list(zip(top.indices.tolist(), top.values.tolist(), strict=True))

    @torch.no_grad()
    def _generate(self, prompts: list[list[int]], config: GenerationConfig) -> list[list[int]]:
        config.eos_token_id, config.pad_token_id = self._end, self._padding
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))  # little padding a batch
        answers: dict[int, list[int]] = {}
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            width = max(len(prompts[i]) for i in chosen)
            ids = torch.full((len(chosen), width), self._padding)
            mask = torch.zeros_like(ids)
            for row, i in enumerate(chosen):
                ids[row, width - len(prompts[i]) :] = torch.tensor(prompts[i])
                mask[row, width - len(prompts[i]) :] = 1
            made = self._model.generate(
                inputs=ids.to(device()), attention_mask=mask.to(device()), generation_config=config
            )
            for i, row in zip(chosen, made[:, width:].tolist(), strict=True):
                answers[i] = row[: row.index(self._end)] if self._end in row else row
        return [answers[i] for i in range(len(prompts))]
