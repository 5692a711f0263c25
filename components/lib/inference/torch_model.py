"""A transformers causal language model behind the interface of all language models."""

# B = sequences, T = tokens of a sequence, V = vocabulary

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from transformers import GenerationConfig, PreTrainedModel
from transformers.generation.logits_process import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from components.lib.device import autocast, device, move
from components.lib.inference.language_model import LanguageModel
from components.lib.inference.sampling import Sampling
from components.lib.models.config import context_length, ids

_BATCH = 128


class TorchModel(LanguageModel):
    """Scores and continues token ids with a transformers causal language model."""

    def __init__(self, model: PreTrainedModel) -> None:
        """Wrap `model` and move it to this process's device."""
        config: Any = model.config
        text = config.get_text_config()
        ends = ids(config.eos_token_id, text.eos_token_id, _named_for_generation(model))
        super().__init__(context_length(config.to_dict()), text.vocab_size, ends)
        self._model: Any = move(model)
        known = sorted(each for each in ids(text.pad_token_id, *ends) if each < text.vocab_size)
        self._padding = text.pad_token_id if text.pad_token_id in known else min(known, default=0)

    def sample(
        self, prompts: list[list[int]], max_new_tokens: int, temperature: float, seed: int
    ) -> list[list[int]]:
        """Return a random continuation of each prompt, drawn from softmax(logits / temperature).

        Raises:
            ValueError: as `generate` does.
        """
        for prompt in prompts:
            self.check(prompt, max_new_tokens)
        torch.manual_seed(seed)
        config = GenerationConfig(
            max_new_tokens=max_new_tokens, do_sample=True, temperature=temperature, top_k=0
        )
        return self._continue(prompts, config)

    def shares(self, logits: NDArray[np.float32], sampling: Sampling) -> NDArray[np.float32]:
        """Return the share (V,) with which each token is drawn, as transformers warps logits."""
        warpers = LogitsProcessorList([TemperatureLogitsWarper(sampling.temperature)])
        if sampling.top_p < 1:
            warpers.append(TopPLogitsWarper(sampling.top_p))
        no_ids: Any = torch.empty((1, 0), dtype=torch.long)  # warpers of shares look at none
        return warpers(no_ids, torch.from_numpy(logits[None]))[0].softmax(-1).numpy()

    def _generate(self, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        return self._continue(prompts, GenerationConfig(max_new_tokens=max_new_tokens))

    @torch.no_grad()
    def _nats(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        rows = torch.from_numpy(ids).to(device())
        with autocast():
            logits = self._model(input_ids=rows[:, :-1], use_cache=False).logits
        nats = F.cross_entropy(logits.float().transpose(1, 2), rows[:, 1:], reduction="none")
        return nats.cpu().numpy()

    @torch.no_grad()
    def _logits(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        rows = torch.from_numpy(ids).to(device())
        return self._model(input_ids=rows, use_cache=False).logits.float().cpu().numpy()

    def _reading(self, num_tokens: int) -> "_Reading":
        return _Reading(self._model)

    @torch.no_grad()
    def _continue(self, prompts: list[list[int]], config: GenerationConfig) -> list[list[int]]:
        config.eos_token_id, config.pad_token_id = sorted(self.end_ids) or None, self._padding
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
                answers[i] = self._until_end(row)
        return [answers[i] for i in range(len(prompts))]

    def _until_end(self, ids: list[int]) -> list[int]:
        """Cut at the first end: a row that is done goes on with padding until its batch is."""
        end = next((index for index, token in enumerate(ids) if token in self.end_ids), len(ids))
        return ids[:end]


def _named_for_generation(model: PreTrainedModel) -> Any:
    """Return the ids that the generation config ends at: of a chat model, more than the config."""
    return getattr(getattr(model, "generation_config", None), "eos_token_id", None)


class _Reading:
    """A text that a transformers model reads, with that library's cache of keys and values."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._past: Any = None

    @torch.no_grad()
    def read(self, ids: list[int]) -> NDArray[np.float32]:
        """Read on, and return the logits (V,) of the token after the last one."""
        row = torch.tensor([ids], device=device())
        made = self._model(input_ids=row, past_key_values=self._past, use_cache=True)
        self._past = made.past_key_values
        return made.logits[0, -1].float().cpu().numpy()
