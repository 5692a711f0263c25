"""The card of a released model, in the form that Hugging Face hubs read (Mitchell et al. 2019)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tabulate import tabulate

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import Comparisons, DataCard, Dialogues
from components.core.artifacts.models import Checkpoint, CompressedModel
from components.core.artifacts.reports import BaselineReport, ProbeReport, StageReport
from components.lib.models.config import context_length, of_text
from components.release.learnt_sets import HEADINGS, NOT_STATED, learnt_sets
from components.release.usage import kind_of, usage


class Facts(Frozen):
    """What a model card says."""

    name: str
    """Registered model."""
    model: Checkpoint
    """The model that transformers loads."""
    compressed: CompressedModel | None
    """Its export, if it has one."""
    baselines: BaselineReport
    """N-gram models on the same text."""
    ledger: tuple[StageReport, ...]
    """What was measured after each stage."""
    data: DataCard
    """What it was trained on."""
    sets: tuple[Dialogues | Comparisons, ...] = ()
    """The named sets that it was fine-tuned on and aligned by, as they were prepared."""


def model_card(facts: Facts) -> str:
    """Return the card as Markdown with a YAML header."""
    sections = {
        "What it is": _what(facts),
        "What it was trained on": _data(facts),
        "What was measured": _measured(facts),
        "How to use it": usage(facts.compressed),
        "Limits": _limits(facts),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return f"{_header(facts)}\n\n# {facts.name}\n\n{body}\n"


def _header(facts: Facts) -> str:
    tags = ["bloomery", *([kind_of(facts.compressed)] if facts.compressed else [])]
    lines = [
        "library_name: transformers",
        "pipeline_tag: text-generation",
        f"tags: {json.dumps(tags)}",
        "license: other",
        f"license_name: {json.dumps(licence(facts))}",
    ]
    return "\n".join(["---", *lines, "---"])


def licence(facts: Facts) -> str:
    """Return what a model may be used for, as far as its data says: documents and sets."""
    found = {name for row in _sources(facts.data).values() for name in row["licences"]}
    found.update(name for each in learnt_sets(facts.sets) for name in each.licences)
    return "of its data: " + (", ".join(sorted(found - {NOT_STATED})) or NOT_STATED)


def _what(facts: Facts) -> str:
    config: dict[str, Any] = json.loads((facts.model.path / "config.json").read_text("utf-8"))
    kind = ", ".join(config.get("architectures") or [config.get("model_type", "unknown")])
    length = context_length(config)
    stages = ", ".join(line.stage for line in facts.ledger)
    rows = [
        ("architecture", f"{kind} (transformers)"),
        ("parameters", f"{facts.model.num_parameters:,}"),
        ("context", f"{length} tokens"),
        ("vocabulary", f"{of_text(config).get('vocab_size')} tokens"),
        *_base(facts.model.path),
        ("stages", stages),
        *_merge(facts.model.path),
        ("float32 weights", f"{facts.model.bytes_on_disk / 1e6:.1f} MB"),
    ]
    if (small := facts.compressed) is not None:
        kind = kind_of(small)
        size = f"{small.bytes_on_disk / 1e6:.1f} MB under `{kind}/`"
        rows.append((f"{kind.upper()} export", size))
    return _table(["", ""], rows)


def _merge(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield how well a merged model agrees with its adapter, if the last stage trained one."""
    file = folder / "merge.json"
    if not file.is_file():
        return
    found = json.loads(file.read_text("utf-8"))
    yield (
        "merged adapter",
        f"logits within {found['largest_difference']:.2g} of the adapter's, the largest of which "
        f"is {found['largest_logit']:.3g}, and {found['same_greedy_tokens']:.0%} of the likeliest "
        f"tokens the same, on {found['tokens']:,} tokens",
    )


def _base(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield what is known of the model that the first stage took in, if it took one in."""
    file = folder / "base.json"
    if not file.is_file():
        return
    base = json.loads(file.read_text("utf-8"))
    yield "base", " ".join(filter(None, [base["source"], base["revision"]]))
    yield "content of the base", f"`{base['content']}`"
    yield "licence of the base", base["licence"]
    yield "chat template", base["chat_template"]
    if "new_tokens" in base:
        yield "tokens that the base did not have", f"{base['new_tokens']:,}"
    special = [base["begin"] or "none", " ".join(base["ends"]), base["padding"] or "none"]
    yield "begins, ends, fills up with", ", ".join(f"`{token}`" for token in special)


def _sources(data: DataCard) -> dict[str, dict[str, Any]]:
    card = json.loads((data.path / "report" / "card.json").read_text("utf-8"))
    return card["statistics"]["by_source"]


def _data(facts: Facts) -> str:
    data = facts.data
    rows = [
        (
            name,
            f"{row['documents']:,}",
            f"{row['bytes'] / 1e6:,.2f} MB",
            ", ".join(f"{licence} ({n:,})" for licence, n in row["licences"].items()),
        )
        for name, row in _sources(data).items()
    ]
    total = f"{data.num_documents:,} documents, {data.num_tokens:,} tokens."
    table = _table(["source", "documents", "text", "licences (documents)"], rows)
    said = f"{total} Cleaned, deduplicated, searched for evaluation items, masked.\n\n{table}"
    return f"{said}{_sets(facts)}"


def _sets(facts: Facts) -> str:
    """Return the sets that were learnt after that; nothing if the recipe names none."""
    if not (rows := [each.row() for each in learnt_sets(facts.sets)]):
        return ""
    return (
        "\n\nAfter that, on these dialogues and comparisons, prepared in the same way.\n\n"
        f"{_table(HEADINGS, rows)}"
    )


def _measured(facts: Facts) -> str:
    rows = [
        ("unigram baseline", f"{facts.baselines.unigram:.4f}", ""),
        ("trigram baseline (Kneser-Ney)", f"{facts.baselines.trigram:.4f}", ""),
        *((line.stage, *_scores(line)) for line in facts.ledger),
    ]
    table = _table(["after", "bits per byte", "accuracy on micro-tasks (95 %)"], rows)
    if more := _also_measured(facts.ledger):
        table += f"\n\n{more}"
    if kept := _fidelity(facts.compressed):
        table += f"\n\nThe export against the model that it was made of:\n\n{kept}"
    return (
        f"On held-out text and held-out micro-tasks, the same after every stage.\n\n{table}\n\n"
        f"{_by_task(facts.ledger)}\n\n`verdict.json` has the thresholds that it passed."
    )


def _also_measured(ledger: tuple[StageReport, ...]) -> str:
    """Return what is known of held-out dialogues and of other texts; empty if nothing is."""
    reports = [(line.stage, line.report) for line in ledger]
    columns = {
        "nats a token of held-out answers": [report.answer_nats for _, report in reports],
        **{
            f"bits per byte on {name}": [report.texts.get(name) for _, report in reports]
            for name in ledger[0].report.texts
        },
        **{
            f"perplexity on {name}": [_perplexity(report, name) for _, report in reports]
            for name in ledger[0].report.texts
        },
    }
    known = {name: values for name, values in columns.items() if None not in values}
    rows = [
        (stage, *(f"{values[number]:.4f}" for values in known.values()))
        for number, (stage, _) in enumerate(reports)
    ]
    return _table(["after", *known], rows) if known else ""


def _fidelity(compressed: CompressedModel | None) -> str:
    """Return how well an export that was chosen among several stands for its original."""
    file = compressed.path / "fidelity.json" if compressed is not None else None
    if file is None or not file.is_file():
        return ""
    found = json.loads(file.read_text("utf-8"))
    rows = [
        ("linear weights in 8 bits or fewer", f"{found['coverage']:.1%}"),
        ("KL to the original, nats a token", f"{found['divergence']:.4f}"),
        ("likeliest tokens that flip", f"{found['flipped']:.1%}"),
        ("margin of decisions that is kept", f"{found['margin_kept']:.0%}"),
        ("decisions that flip", f"{found['decisions_flipped']:.1%}"),
        *_kept("refusals", found["refusals_kept"]),
        *_kept("calls of tools", found["tool_calls_kept"]),
    ]
    return _table(["", ""], rows)


def _kept(what: str, share: float | None) -> Iterator[tuple[str, str]]:
    if share is not None:
        yield f"{what} that are kept", f"{share:.0%}"


def _perplexity(report: ProbeReport, text: str) -> float | None:
    """Return that of a text's tokens: of models with one tokenizer alone it can be compared."""
    file = report.path / "report.json"
    if not file.is_file():
        return None
    return json.loads(file.read_text("utf-8"))["text_scores"][text]["perplexity"]


def _scores(line: StageReport) -> tuple[str, str]:
    found, interval = line.report, line.report.accuracy_interval
    accuracy = f"{found.accuracy:.1%} ({interval.low:.1%} to {interval.high:.1%})"
    return f"{found.bits_per_byte:.4f}", accuracy


def _by_task(ledger: tuple[StageReport, ...]) -> str:
    tasks = ledger[-1].report.accuracy_by_task
    rows = [
        (task, *(f"{line.report.accuracy_by_task.get(task, 0.0):.0%}" for line in ledger))
        for task in tasks
    ]
    return _table(["micro-task", *(line.stage for line in ledger)], rows)


def _limits(facts: Facts) -> str:
    last = facts.ledger[-1].report
    weak = [name for name, share in last.accuracy_by_task.items() if share < 0.5]
    lines = [
        "It knows what its data says, in the languages of its data, and nothing newer.",
        "Nobody has tested it for harm, bias or truth: it must not decide about people.",
    ]
    if weak:
        lines.append(f"It fails more than half of the held-out micro-tasks: {', '.join(weak)}.")
    return "\n".join(f"- {line}" for line in lines)


def _table(headings: list[str], rows: list[tuple[str, ...]]) -> str:
    return tabulate(rows, headings, tablefmt="pipe", disable_numparse=True)
