"""TeacherAnswers: a teacher and instructions -> the same questions with answers of the teacher."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import Dialogues, Instructions
from components.core.artifacts.models import Checkpoint
from components.core.component import Component
from components.core.files import link_or_copy, write_json
from components.core.settings import settings
from components.core.tracking import spool
from components.lib.inference.agreement import agreement, repeats_itself, words
from components.lib.tasks.microtasks import MicroTask, is_correct
from components.lib.text.dialogue import Dialogue, Message, read_dialogues

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from components.lib.inference.torch_model import TorchModel

_QUESTIONS_AT_ONCE = 64
_SAMPLES = ".samples.jsonl"  # what was sampled so far: a hidden file is no part of an artifact
_NO_PROMPT = "cannot be asked"


class TeacherAnswersInputs(Frozen):
    """What `TeacherAnswers` reads."""

    teacher: Checkpoint
    """The model that answers; its student may have another vocabulary."""
    instructions: Instructions
    """Questions, with answers that are not looked at but where a program checks them."""


class Sample(NamedTuple):
    """An answer that was sampled."""

    text: str
    """What it says."""
    is_ended: bool
    """Whether it came to its end."""
    is_plain: bool
    """Whether it has no special token, such as one that opens the user's next turn."""


class Judged(NamedTuple):
    """What became of a question."""

    answer: str
    """The answer that is learnt; the last one that was refused, if none is."""
    reason: str
    """Why none is learnt; empty if one is."""
    agreement: float
    """How much it agrees with the other samples, 0 to 1."""


class TeacherAnswers(Component[TeacherAnswersInputs, Dialogues]):
    """Sequence-level distillation (Kim and Rush 2016): a student is fine-tuned on what is written.

    Each question of `train.jsonl` is answered several times. Samples that do not end, are empty,
    speak for the user, repeat the question or themselves are left out. Where a program knows the
    right answer (micro-tasks) only right ones stay; elsewhere the sample stays that agrees best
    with the others, if it agrees enough. Writes `train.jsonl`, `rejects.jsonl` with reasons and
    `card.json`; `validation.jsonl` is what it was, so that losses can be compared.
    """

    version: ClassVar[str] = "1.0.0"

    num_samples: int = Field(default=4, ge=1)
    """Answers to each question."""
    temperature: float = Field(default=0.7, gt=0)
    """Temperature of the samples."""
    max_new_tokens: int = Field(default=256, ge=1)
    """Tokens of an answer, at most: a longer one does not end, and is left out."""
    min_agreement: float = Field(default=0.3, ge=0, le=1)
    """Mean share of words that an answer must have in common with the other samples."""
    num_questions: int | None = Field(default=None, ge=1)
    """Take the first so many questions; else all."""
    seed: int = 0
    """Seed of the samples."""

    def run(self, inputs: TeacherAnswersInputs, out: Path) -> Dialogues:
        """Write the dialogues.

        Raises:
            ValueError: the teacher continues no text, or no question has an answer that stays.
        """
        from components.lib.models.teaching import require_decoder_of

        require_decoder_of(inputs.teacher.path, 2)
        folder = inputs.instructions.path
        asked = list(_questions(folder / "train.jsonl"))[: self.num_questions]
        samples = self._samples([dialogue for dialogue, _ in asked], inputs.teacher, out)
        judged = [self.judge(*row, found) for row, found in zip(asked, samples, strict=True)]
        rows = zip((dialogue for dialogue, _ in asked), judged, strict=True)
        dropped = Counter(each.reason for each in judged if each.reason)
        kept = [each for each in judged if not each.reason]
        if not kept:
            said = ", ".join(f"{reason}: {number}" for reason, number in dropped.items())
            raise ValueError(
                f"No answer of the teacher to {len(asked)} questions can be learnt from ({said}). "
                "Raise num_samples or max_new_tokens, lower min_agreement, or take another teacher."
            )
        _write(out, rows)
        link_or_copy(folder / "validation.jsonl", out / "validation.jsonl")
        (out / _SAMPLES).unlink()
        num_rows = {"train": len(kept), "validation": _num_lines(out / "validation.jsonl")}
        measures = {
            "kept_share": len(kept) / len(asked),
            "mean_agreement": sum(each.agreement for each in kept) / len(kept),
        }
        card = {"rows": num_rows, "dropped": dropped, **measures}
        write_json(out / "card.json", card)
        return Dialogues(
            path=out,
            revision=inputs.instructions.revision,
            names=tuple(sorted({dialogue.source for dialogue, _ in asked})),
            num_dialogues=num_rows,
            dropped=dict(dropped),
            measures=measures,
        )

    def judge(
        self, dialogue: Dialogue, task: MicroTask | None, samples: Sequence[Sample]
    ) -> Judged:
        """Return the answer that is learnt, or why there is none."""
        if not samples:
            return Judged("", _NO_PROMPT, 0.0)
        agreed = agreement([sample.text for sample in samples])
        if task is not None:
            right = [n for n, each in enumerate(samples) if _fault(each) == ""]
            right = [n for n in right if is_correct(task, samples[n].text)]
            if right:
                return Judged(samples[right[0]].text, "", agreed[right[0]])
            return Judged(samples[0].text, "no answer is right", agreed[0])
        question = dialogue.messages[-2].content if len(dialogue.messages) > 1 else ""
        faults = [_fault(each) or _circles(each.text, question) for each in samples]
        good = [number for number, fault in enumerate(faults) if not fault]
        if not good:
            return Judged(samples[-1].text, faults[-1], agreed[-1])
        best = max(good, key=lambda number: agreed[number])
        too_little = agreed[best] < self.min_agreement
        return Judged(samples[best].text, "samples disagree" if too_little else "", agreed[best])

    def _samples(
        self, dialogues: Sequence[Dialogue], teacher: Checkpoint, out: Path
    ) -> list[list[Sample]]:
        """Return the samples of each dialogue's last answer, and keep them as they come."""
        import torch

        from components.lib.inference.torch_model import TorchModel
        from components.lib.models.folders import load_model, load_tokenizer

        torch.set_num_threads(settings().num_threads)
        found = _read_samples(out / _SAMPLES)
        if len(found) == len(dialogues):
            return found
        tokenizer = load_tokenizer(teacher.path)
        model = TorchModel(load_model(teacher.path))
        prompts = _prompts(tokenizer, dialogues, model.context_length - self.max_new_tokens)
        with (out / _SAMPLES).open("a", encoding="utf-8") as stream:
            for start in range(len(found), len(dialogues), _QUESTIONS_AT_ONCE):
                some = prompts[start : start + _QUESTIONS_AT_ONCE]
                made = self._sample(model, tokenizer, some, start)
                stream.writelines(json.dumps(each) + "\n" for each in made)
                stream.flush()
                found += made
                spool.append(out, len(found), {"progress": len(found) / len(dialogues)})
        return found

    def _sample(
        self,
        model: "TorchModel",
        tokenizer: "PreTrainedTokenizerFast",
        prompts: Sequence[list[int] | None],
        start: int,
    ) -> list[list[Sample]]:
        """Return samples for some prompts, the first of which is number `start`."""
        from components.lib.text.chat import decode

        special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
        repeated = [p for p in prompts if p is not None for _ in range(self.num_samples)]
        digest = hashlib.blake2b(f"{self.seed} {start}".encode(), digest_size=7).digest()
        number = self.max_new_tokens
        ids = model.sample(repeated, number, self.temperature, int.from_bytes(digest))
        made = iter(
            Sample(decode(tokenizer, row).strip(), len(row) < number, not special & set(row))
            for row in ids
        )
        return [[next(made) for _ in range(self.num_samples) if p is not None] for p in prompts]


def _questions(file: Path) -> Iterator[tuple[Dialogue, MicroTask | None]]:
    """Yield the dialogues of a file, each with the task that checks its answer, if one does."""
    with file.open(encoding="utf-8") as lines:
        for dialogue, line in zip(read_dialogues(file), lines, strict=True):
            row = json.loads(line)
            yield dialogue, MicroTask.model_validate(row) if "task" in row else None


def _prompts(
    tokenizer: "PreTrainedTokenizerFast", dialogues: Sequence[Dialogue], longest: int
) -> list[list[int] | None]:
    """Return what asks for the last answer of each dialogue; None if nothing can, or too much."""
    from components.lib.text.rendered import Renderer

    found: list[list[int] | None] = []
    for dialogue, rendered in zip(dialogues, Renderer(tokenizer).render(dialogues), strict=True):
        prompt = None if isinstance(rendered, str) else rendered.ids[: rendered.prompt_length()]
        calls = bool(dialogue.messages[-1].tool_calls)
        found.append(prompt if prompt and len(prompt) <= longest and not calls else None)
    return found


def _fault(sample: Sample) -> str:
    if not sample.is_ended:
        return "does not end"
    if not sample.text:
        return "is empty"
    return "" if sample.is_plain else "speaks for the user"


def _circles(answer: str, question: str) -> str:
    if words(answer) == words(question):
        return "repeats the question"
    return "repeats itself" if repeats_itself(answer) else ""


def _read_samples(file: Path) -> list[list[Sample]]:
    """Return what a killed run has sampled: whole groups, so that the rest is drawn alike."""
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    whole = len(lines) // _QUESTIONS_AT_ONCE * _QUESTIONS_AT_ONCE
    if file.exists():
        file.write_text("".join(f"{line}\n" for line in lines[:whole]), "utf-8")
    return [[Sample(*each) for each in json.loads(line)] for line in lines[:whole]]


def _write(out: Path, rows: Iterator[tuple[Dialogue, Judged]]) -> None:
    """Write what is learnt, and what is not with its reason."""
    with (
        (out / "train.jsonl").open("w", encoding="utf-8") as train,
        (out / "rejects.jsonl").open("w", encoding="utf-8") as rejects,
    ):
        for dialogue, judged in rows:
            if judged.reason:
                row = {"id": dialogue.id, "reason": judged.reason, "answer": judged.answer}
                rejects.write(json.dumps(row, ensure_ascii=False) + "\n")
                continue
            answer = Message(role="assistant", content=judged.answer)
            messages = (*dialogue.messages[:-1], answer)
            made = dialogue.model_copy(update={"messages": messages})
            train.write(made.model_dump_json(exclude_defaults=True) + "\n")


def _num_lines(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for _ in lines)
