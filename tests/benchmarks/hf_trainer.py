"""Hugging Face's Trainer with its defaults, on transformers' own Llama."""

import torch
from torch import nn
from torch.utils.data import Dataset
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from tests.benchmarks.turns import Turns
from tests.benchmarks.work import Work, train_windows


def llama_config(work: Work) -> LlamaConfig:
    """Return the model's shape, as transformers has it."""
    return LlamaConfig(
        vocab_size=work.vocab_size,
        hidden_size=work.width,
        intermediate_size=work.feed_forward_width,
        num_hidden_layers=work.num_layers,
        num_attention_heads=work.num_heads,
        num_key_value_heads=work.num_heads,
        max_position_embeddings=work.length,
        tie_word_embeddings=True,
    )


class _Windows(Dataset[dict[str, torch.Tensor]]):
    """Windows as the Trainer wants them: the model itself moves the labels by one."""

    def __init__(self, work: Work) -> None:
        self._windows = train_windows(work)
        self._rows = torch.arange(len(self._windows)).numpy()

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        ids = torch.from_numpy(self._windows.windows(self._rows[index : index + 1])[0, :-1])
        return {"input_ids": ids, "labels": ids}


class _Taking(TrainerCallback):
    """Hands the steps to the benchmark."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self._turns.begin()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self._turns.step()


def train(work: Work, turns: Turns) -> nn.Module:
    """Train in float32, or as `options` say: `bf16`, `compile`, `cosine` (with warm-up)."""
    is_cosine = bool(work.options.get("cosine"))
    arguments = TrainingArguments(
        output_dir=str(work.out),
        per_device_train_batch_size=work.batch_size,
        max_steps=work.num_steps,
        learning_rate=work.learning_rate,
        lr_scheduler_type="cosine" if is_cosine else "linear",
        warmup_steps=work.num_steps // 50 if is_cosine else 0,
        bf16=bool(work.options.get("bf16")),
        torch_compile=bool(work.options.get("compile")),
        use_cpu=not torch.cuda.is_available(),
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(llama_config(work))
    trainer = Trainer(
        model=model, args=arguments, train_dataset=_Windows(work), callbacks=[_Taking(turns)]
    )
    trainer.train()
    return model
