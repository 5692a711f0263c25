"""`litgpt pretrain` itself, with its defaults: bf16-mixed, compiled, logged every iteration."""

import sys
from collections.abc import Iterator

import torch
from litgpt import pretrain
from litgpt.args import EvalArgs, TrainArgs
from litgpt.config import Config
from litgpt.data import DataModule
from torch.utils.data import DataLoader, IterableDataset

from tests.benchmarks.turns import Turns
from tests.benchmarks.work import Work, train_windows


class _Windows(IterableDataset[torch.Tensor]):
    """Windows in random order; asked for the next batch, the step before it is done."""

    def __init__(self, work: Work, turns: Turns | None) -> None:
        self._work, self._turns = work, turns

    def __iter__(self) -> Iterator[torch.Tensor]:
        windows, generator = train_windows(self._work), torch.Generator().manual_seed(0)
        if self._turns is not None:
            self._turns.begin()
        for step in range(self._work.num_steps):
            if step and self._turns is not None:
                self._turns.step()
            rows = torch.randint(len(windows), (self._work.batch_size,), generator=generator)
            yield torch.from_numpy(windows.windows(rows.numpy()))


class _Shards(DataModule):
    """The benchmark's tokens as litgpt wants them."""

    def __init__(self, work: Work, turns: Turns) -> None:
        super().__init__()
        self._work, self._turns = work, turns

    def connect(self, *_: object, **__: object) -> None:
        """Nothing to connect: there is no tokenizer."""

    def train_dataloader(self) -> DataLoader[torch.Tensor]:
        return DataLoader(_Windows(self._work, self._turns), batch_size=None)

    def val_dataloader(self) -> DataLoader[torch.Tensor]:
        return DataLoader(_Windows(self._work, None), batch_size=None)


def _config(work: Work) -> Config:
    return Config(
        name="bench",
        block_size=work.length,
        vocab_size=work.vocab_size,
        padded_vocab_size=work.vocab_size,
        n_layer=work.num_layers,
        n_head=work.num_heads,
        n_embd=work.width,
        rotary_percentage=1.0,
        parallel_residual=False,
        bias=False,
        norm_class_name="RMSNorm",
        mlp_class_name="LLaMAMLP",
        intermediate_size=work.feed_forward_width,
    )


def train(work: Work, turns: Turns) -> None:
    """Train until the process is ended."""
    sys.argv = ["litgpt"]
    pretrain.setup(
        model_name="bench",
        model_config=_config(work),
        out_dir=work.out / "litgpt",
        data=_Shards(work, turns),
        train=TrainArgs(
            save_interval=None,
            global_batch_size=work.batch_size,
            micro_batch_size=work.batch_size,
            max_tokens=work.num_steps * work.tokens_per_step,
            max_norm=1.0,
            min_lr=4e-5,
            lr_warmup_steps=2000,
            tie_embeddings=True,
        ),
        eval=EvalArgs(interval=work.num_steps, max_iters=1),
        devices=1,
        logger_name="csv",
    )
