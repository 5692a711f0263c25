"""Fidelity: a model and a smaller one -> how well the smaller one stands for it.

Measured where compression breaks a model first: what it expects of the next token, which token it
holds likeliest, by what margin it decides, whether it still declines and calls tools.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from components.compress.comparison.coverage import coverage
from components.core.artifacts.base import Frozen
from components.core.artifacts.data import EvaluationSets, Instructions, TokenShards
from components.core.artifacts.models import Checkpoint, CompressedModel
from components.core.artifacts.reports import FidelityReport, HeldOutText
from components.core.component import Component
from components.core.files import write_json
from components.core.record import REPORT
from components.core.settings import settings

if TYPE_CHECKING:
    from components.compress.comparison.questions import Question
    from components.lib.inference.decode_speed import Speed
    from components.lib.inference.language_model import LanguageModel

FIDELITY = "fidelity.json"

_PROMPT_TOKENS = 128  # of held-out text, after which decoding is timed
_ANSWER_TOKENS = 48


class FidelityInputs(Frozen):
    """What `Fidelity` reads."""

    original: Checkpoint
    """The model before."""
    model: Checkpoint | CompressedModel
    """The smaller one."""
    shards: TokenShards
    """Held-out text in its `test` split."""
    evaluation: EvaluationSets
    """Held-out micro-tasks, in its `test.jsonl`."""
    instructions: Instructions | None = None
    """Dialogues, of which those in `validation.jsonl` are held out; None asks micro-tasks alone."""


class Fidelity(Component[FidelityInputs, FidelityReport]):
    """Hold a smaller model against its original, and time the two in turns.

    Writes `report/fidelity.json`: the numbers, and what of the model is small.
    """

    version: ClassVar[str] = "1.0.0"

    held_out: HeldOutText = HeldOutText(num_sequences=32)
    """Which held-out text both read."""
    num_items: int = Field(default=64, ge=2)
    """Decisions among four choices: answers of micro-tasks, and of dialogues if there are some."""
    num_prompts: int = Field(default=24, ge=1)
    """Prompts that both answer, to see whether they decline and call tools alike."""
    watts_per_core: float = Field(default=7.0, gt=0)
    """What a busy core takes, for the estimate of energy: a server processor's rated watts over
    its cores are 4 to 10."""

    def run(self, inputs: FidelityInputs, out: Path) -> FidelityReport:
        """Measure both and write the report.

        Raises:
            ValueError: the vocabularies differ, or nothing is held out.
        """
        import torch

        from components.compress.comparison.questions import items_of, items_of_text, questions
        from components.lib.inference.compared.decisions import decisions, scores
        from components.lib.inference.compared.divergence import divergence
        from components.lib.inference.conversation import open_model
        from components.lib.inference.decode_speed import speeds
        from components.lib.inference.held_out import HeldOut
        from components.lib.models.folders import load_tokenizer

        torch.set_num_threads(settings().num_threads)
        threads = settings().num_threads
        original = open_model(inputs.original.path, threads)
        model = open_model(inputs.model.path, threads)
        text = HeldOut.of(inputs.shards, self.held_out)
        asked = questions(
            load_tokenizer(inputs.original.path),
            inputs.evaluation.path / "test.jsonl",
            inputs.instructions and inputs.instructions.path / "validation.jsonl",
            original.context_length,
        )
        items = items_of(asked, self.num_items) or items_of_text(text.windows, self.num_items)
        agreed = divergence(original, model, text.windows[:, :-1])
        decided = decisions(scores(original, items), scores(model, items))
        prompt = text.windows[0, :_PROMPT_TOKENS][: original.context_length // 2].tolist()
        slow, fast = speeds((original, model), prompt)
        covered = coverage(inputs.model.path)
        measured: dict[str, Any] = {
            **agreed._asdict(),
            **decided._asdict(),
            **self._behavior(original, model, asked, inputs.original.path),
            **self._speed("", fast),
            **self._speed("original_", slow),
        }
        report = FidelityReport(
            path=out,
            model=inputs.model.fingerprint,
            bytes_on_disk=inputs.model.bytes_on_disk,
            bits_per_byte=text.bits_per_byte(model),
            original_bits_per_byte=text.bits_per_byte(original),
            coverage=covered.share,
            **measured,
        )
        numbers = report.model_dump(mode="json", exclude={"path", "fingerprint"})
        (out / REPORT).mkdir(exist_ok=True)
        told = {**numbers, "covered": covered.model_dump(mode="json")}
        write_json(out / REPORT / FIDELITY, told)
        return report

    def _behavior(
        self,
        original: "LanguageModel",
        model: "LanguageModel",
        asked: "Sequence[Question]",
        tokenizer: Path,
    ) -> dict[str, float | None]:
        """Return what share of refusals and calls of tools the smaller model keeps."""
        from components.lib.inference.compared.behaviors import called_tools, declines, kept
        from components.lib.text.chat_tokenizer import ChatTokenizer

        decode = ChatTokenizer(tokenizer).decode
        prompts = [question.prompt for question in asked[: self.num_prompts]]
        before, after = (
            [decode(row) for row in each.generate(prompts, _ANSWER_TOKENS)] if prompts else []
            for each in (original, model)
        )
        return {
            "refusals_kept": kept([declines(each) for each in before], map(declines, after)),
            "tool_calls_kept": kept([called_tools(e) for e in before], map(called_tools, after)),
        }

    def _speed(self, prefix: str, found: "Speed") -> dict[str, float]:
        return {
            f"{prefix}decode_tokens_per_second": found.decode_tokens_per_second,
            f"{prefix}first_token_seconds": found.first_token_seconds,
            f"{prefix}joules_per_token": found.cpu_seconds_per_token * self.watts_per_core,
        }
