"""DPO: a model and preference pairs -> a model that prefers what was chosen.

The loss is TRL's: `loss_type` and `beta` below are all there is to configure of it.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import PreferencePairs
from components.core.artifacts.models import Checkpoint
from components.core.component import Component
from components.core.settings import settings
from components.core.tracking import spool

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class DPOInputs(Frozen):
    """What `DPO` reads."""

    model: Checkpoint
    """The policy to start from, and the frozen reference."""
    pairs: PreferencePairs
    """Chosen and rejected answers."""


class DPO(Component[DPOInputs, Checkpoint]):
    """Direct preference optimization (Rafailov et al. 2023, eq. 7), by TRL's `DPOTrainer`.

    Writes a model and tokenizer in Hugging Face layout.
    """

    version: ClassVar[str] = "1.2.0"

    loss_type: Literal["sigmoid", "ipo", "hinge"] = "sigmoid"
    """`sigmoid` is DPO itself; `ipo` is Azar et al. 2023, `hinge` is SLiC (Zhao et al. 2023)."""
    beta: float = Field(default=0.1, gt=0)
    """Strength of the pull towards the reference model."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """Peak learning rate of AdamW; falls linearly to zero."""
    num_epochs: int = Field(default=1, ge=1)
    """Times that every pair is seen."""
    batch_size: int = Field(default=32, ge=1)
    """Pairs of a step."""
    seed: int = 0
    """Seed of the order of the pairs."""

    def run(self, inputs: DPOInputs, out: Path) -> Checkpoint:
        """Align all weights and leave the model in `out`."""
        import torch
        from datasets import Dataset
        from transformers.trainer_callback import PrinterCallback
        from trl.trainer.dpo_config import DPOConfig

        from components.lib.models.config import context_length
        from components.lib.models.folders import describe, load_model, load_tokenizer, save_model

        torch.set_num_threads(settings().num_threads)
        tokenizer = load_tokenizer(inputs.model.path)
        model = load_model(inputs.model.path)
        longest = context_length(model.config.to_dict())
        with (inputs.pairs.path / "pairs.jsonl").open(encoding="utf-8") as lines:
            encoded = [_encoded(tokenizer, json.loads(line)) for line in lines]
        pairs = [pair for pair in encoded if len(pair["prompt_ids"]) < longest]
        config = DPOConfig(
            output_dir=str(out / "checkpoints"),
            loss_type=[self.loss_type],
            beta=self.beta,
            learning_rate=self.learning_rate,
            num_train_epochs=self.num_epochs,
            per_device_train_batch_size=self.batch_size,
            precompute_ref_log_probs=True,
            max_length=longest,
            gradient_checkpointing=False,
            bf16=False,
            logging_steps=5,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=torch.cuda.is_available(),
            seed=self.seed,
        )
        trainer = _trainer_of_ids()(
            model=model,
            args=config,
            train_dataset=Dataset.from_list(pairs),  # `from_json` keeps a copy in a global cache
            processing_class=tokenizer,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        spool.rewind(out, 0)
        for entry in trainer.state.log_history:
            numbers = {name: float(value) for name, value in entry.items()}
            spool.append(out, int(numbers.pop("step")), numbers)
        save_model(model, inputs.model.path, out)
        return describe(out, longest)


def _encoded(tokenizer: "PreTrainedTokenizerFast", pair: dict[str, str]) -> dict[str, list[int]]:
    """Return the ids of a pair: each answer ends as the chat template ends it."""
    from components.lib.text.chat import answer_end

    prompt, *answers = (
        tokenizer.encode(pair[name], add_special_tokens=False)
        for name in ("prompt", "chosen", "rejected")
    )
    end = answer_end(tokenizer)
    chosen, rejected = ([*answer, end] for answer in answers)
    return {"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected}


def _trainer_of_ids() -> Any:
    """Return TRL's trainer for pairs that are ids.

    It would end answers that are text by the tokenizer's eos token, which need not be what ends a
    turn, and set a second beginning before the one of the template.
    """
    from trl.trainer.dpo_trainer import DPOTrainer

    class Trainer(DPOTrainer):
        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:  # pyright: ignore
            return dataset

    return Trainer
