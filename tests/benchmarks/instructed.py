"""Fine-tuning on the same dialogues: ours as `SFT` trains, and TRL's SFTTrainer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from components.lib.examples.batches import IGNORED, Batch
from components.lib.examples.dialogues import Dialogues, Stretch
from components.lib.inference.answer_nats import answer_nats
from components.lib.inference.torch_model import TorchModel
from components.lib.models.folders import flops_per_token, load_model, load_tokenizer
from components.lib.models.lora import LoRA
from components.lib.objectives.next_token import NextToken
from components.lib.text.dialogue import Dialogue, Message
from components.lib.training.fit import TrainSpec
from components.lib.training.hyperparameters import Hyperparameters
from components.lib.training.session import train_and_save
from tests.benchmarks.turns import Turns
from tests.benchmarks.work import Work, num_threads

NUM_HELD_OUT = 32
_RANK, _ALPHA = 16, 32
_NEVER = 1_000_000_000  # steps


def learnt(work: Work, *, held_out: bool = False) -> Dialogues:
    """Return the dialogues that fit into a sequence, but for those held out, or these."""
    tokenizer = load_tokenizer(Path(str(work.options["model"])))
    file = Path(str(work.options["dialogues"]))
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    found = [_dialogue(number, row) for number, row in enumerate(rows)]
    whole = Dialogues(tokenizer, found, work.length)
    sizes = [len(stretch.inputs) for stretch in whole.stretches(range(len(whole)))]
    fit = [each for each, size in zip(found, sizes, strict=True) if size < work.length]
    chosen = fit[:NUM_HELD_OUT] if held_out else fit[NUM_HELD_OUT:]
    return Dialogues(tokenizer, chosen, work.length)


def _dialogue(number: int, row: dict[str, str]) -> Dialogue:
    asked = Message(role="user", content=row["prompt"])
    answered = Message(role="assistant", content=row["response"])
    return Dialogue(id=f"dialogues/{number}", messages=(asked, answered))


class _Counted:
    """Our examples; asked for the next batch of a step, the step before it is done."""

    def __init__(self, dialogues: Dialogues, batch_size: int, turns: Turns) -> None:
        self._dialogues, self._batch_size, self._turns = dialogues, batch_size, turns
        self._num_tokens = 0

    def __len__(self) -> int:
        return len(self._dialogues)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        if self._num_tokens:
            self._turns.step(self._num_tokens)
        made = self._dialogues.batch(indices)
        if len(indices) == self._batch_size:  # a merge is proved on others
            self._num_tokens = made.num_tokens()
        return made


def ours(work: Work, turns: Turns) -> None:
    """Train as `SFT`'s worker does, with an adapter if `lora`."""
    folder = Path(str(work.options["model"]))
    model = load_model(folder)
    examples = _Counted(learnt(work), work.batch_size, turns)
    training = Hyperparameters(
        num_steps=work.num_steps,
        batch_size=work.batch_size,
        micro_batch_size=int(work.options.get("micro_batch", 1)),
        optimizer="adamw",
        learning_rate=work.learning_rate,
        weight_decay=0.0,
        embedding_multiplier=1.0,
        evaluate_every=_NEVER,
        checkpoint_every=_NEVER,
        schedule="constant",
    )
    scorer, held_out = TorchModel(model), learnt(work, held_out=True)
    task = TrainSpec(
        examples=examples,
        objective=NextToken(),
        evaluate=lambda: {"validation_loss": answer_nats(scorer, held_out)},
        flops_per_token=flops_per_token(model, work.length),
    )
    adapter = LoRA(rank=_RANK, alpha=_ALPHA) if work.options.get("lora") else None
    turns.begin()
    train_and_save(model, folder, task, training, work.out, adapter)


def trl(work: Work, turns: Turns) -> None:
    """Train with SFTTrainer; `options` say `bf16`, `checkpointing`, `micro_batch`, `attention`."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    torch.set_num_threads(num_threads())
    folder, options = Path(str(work.options["model"])), work.options
    dialogues = learnt(work)
    stretches = dialogues.stretches(range(len(dialogues)))
    rows: Any = Dataset.from_list([_labelled(stretch) for stretch in stretches])
    micro_batch = int(options.get("micro_batch", 1))
    arguments = SFTConfig(
        output_dir=str(work.out),
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=int(options["sequences"]) // micro_batch,
        max_steps=work.num_steps,
        learning_rate=work.learning_rate,
        lr_scheduler_type="constant",
        packing=True,
        packing_strategy=str(options.get("strategy", "bfd")),
        max_length=work.length,
        bf16=bool(options.get("bf16")),
        gradient_checkpointing=bool(options.get("checkpointing")),
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    adapter = LoraConfig(r=_RANK, lora_alpha=_ALPHA, target_modules="all-linear")

    class Counting(SFTTrainer):
        """Counts the tokens of a step that predict one of their own dialogue."""

        num_tokens = 0

        def compute_loss(self, model: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
            """Count, and go on as TRL does."""
            self.num_tokens += int((inputs["position_ids"] != 0).sum())
            return super().compute_loss(model, inputs, *rest, **named)

    class Taking(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            turns.begin()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            turns.step(trainer.num_tokens)
            trainer.num_tokens = 0

    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.float32,
        attn_implementation=str(options.get("attention", "sdpa")),
        local_files_only=True,
    )
    trainer = Counting(
        model=model,
        args=arguments,
        train_dataset=rows,
        processing_class=load_tokenizer(folder),
        callbacks=[Taking()],
        peft_config=adapter if options.get("lora") else None,
    )
    trainer.train()


def _labelled(stretch: Stretch) -> dict[str, list[int]]:
    ids = [*stretch.inputs.tolist(), int(stretch.targets[-1])]
    return {"input_ids": ids, "labels": [IGNORED, *stretch.targets.tolist()]}
