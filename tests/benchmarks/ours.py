"""Bloomery's own training loop, set up as `components.pretrain.train` sets it up."""

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from components.lib.device import attention, keep_memory
from components.lib.models import build_llama, flops_per_token
from components.lib.plan import Training
from components.lib.training import Batch, fit
from tests.benchmarks.turns import Turns
from tests.benchmarks.work import Work, num_threads, train_windows

_NEVER = 1_000_000_000  # steps


class _Windows:
    """The examples; asked for the next batch, the step before it is done."""

    def __init__(self, work: Work, turns: Turns) -> None:
        self._windows, self._turns = train_windows(work), turns
        self._has_begun = False

    def __len__(self) -> int:
        return len(self._windows)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        if self._has_begun:
            self._turns.step()
        self._has_begun = True
        rows = self._windows.windows(indices)
        return Batch(rows[:, :-1].copy(), rows[:, 1:].copy())


def train(work: Work, turns: Turns) -> PreTrainedModel:
    """Train as `options` say: `optimizer`, `qk_norm`, `zero_projections`, and the process group."""
    torch.set_num_threads(int(work.options.get("threads", num_threads())))
    keep_memory()
    num_processes = _join(work)
    model = _model(work)
    training = Training(
        num_steps=work.num_steps,
        batch_size=work.batch_size * num_processes,
        learning_rate=work.learning_rate,
        evaluate_every=_NEVER,
        checkpoint_every=_NEVER,
        optimizer=work.options.get("optimizer", "muon"),
    )
    examples = _Windows(work, turns)
    flops = flops_per_token(model, work.length)
    turns.begin()
    fit(model, training, examples, work.out, evaluate=lambda: {}, flops_per_token=flops)
    turns.step()
    return model


def _join(work: Work) -> int:
    """Join the group of data-parallel processes, if this is one, and return its size."""
    size = int(work.options.get("num_processes", 1))
    if size > 1:
        rank, meeting = int(work.options["rank"]), f"file://{work.options['meeting']}"
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size)
    return size


def _model(work: Work) -> PreTrainedModel:
    """Return a new model, as `Train` builds it unless `options` say otherwise."""
    if work.options.get("qk_norm"):
        model = _with_qk_norm(work)
    else:
        model = build_llama(
            vocab_size=work.vocab_size,
            width=work.width,
            num_layers=work.num_layers,
            num_heads=work.num_heads,
            num_key_value_heads=work.num_heads,
            max_length=work.length,
            end_of_text=0,
            padding=1,
            seed=0,
        )
    is_zero = work.options.get("zero_projections", True)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                parameter.normal_(std=0.0 if is_zero else 0.02)
    return model


def _with_qk_norm(work: Work) -> PreTrainedModel:
    """Return the same model with normalised queries and keys, which is what Qwen3 is."""
    config = Qwen3Config(
        vocab_size=work.vocab_size,
        hidden_size=work.width,
        intermediate_size=work.feed_forward_width,
        num_hidden_layers=work.num_layers,
        num_attention_heads=work.num_heads,
        num_key_value_heads=work.num_heads,
        head_dim=work.width // work.num_heads,
        max_position_embeddings=work.length,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(config)
    model.set_attn_implementation(attention())
    return model
