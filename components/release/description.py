"""What heads a registered version in MLflow: what the model is, what it scored, how to load it."""

from tabulate import tabulate

from components.core.artifacts.models import Release
from components.release.learnt_sets import learnt_sets
from components.release.model_card import Facts, licence
from components.release.usage import kind_of


def description(facts: Facts, released: Release) -> str:
    """Return it as Markdown, at most fifteen lines."""
    last = facts.ledger[-1].report
    low, high = last.accuracy_interval.low, last.accuracy_interval.high
    rows = [
        ("bits per byte", f"{last.bits_per_byte:.3f} (trigrams: {facts.baselines.trigram:.3f})"),
        ("accuracy (95 %)", f"{last.accuracy:.1%} ({100 * low:.1f} to {100 * high:.1f})"),
        ("size", _size(facts)),
        ("licence", licence(facts)),
    ]
    if sets := [f"{each.name} ({each.learnt:,})" for each in learnt_sets(facts.sets)]:
        rows.append(("learnt after that", ", ".join(sets)))
    if (small := facts.compressed) is not None:
        ratio = small.decode_tokens_per_second / small.original_decode_tokens_per_second
        speed = f"{small.decode_tokens_per_second:,.0f} tokens/s ({ratio:.1f} x float32)"
        rows.insert(3, ("decoding", speed))
    table = tabulate(rows, ["", ""], tablefmt="pipe", disable_numparse=True)
    stages = ", ".join(line.stage for line in facts.ledger)
    uri = f"models:/{released.name}/{released.registered_version}"
    return (
        f"**A language model of {facts.model.num_parameters / 1e6:.2f} M parameters** "
        f"({stages}), trained on {facts.data.num_tokens:,} tokens.\n\n{table}\n\n"
        f'```python\nfolder = mlflow.artifacts.download_artifacts("{uri}")\n'
        "model = AutoModelForCausalLM.from_pretrained(folder)\n```"
    )


def _size(facts: Facts) -> str:
    whole = f"{facts.model.bytes_on_disk / 1e6:.1f} MB"
    if facts.compressed is None:
        return whole
    small = f"{facts.compressed.bytes_on_disk / 1e6:.1f} MB as {kind_of(facts.compressed)}"
    return f"{small}, {whole} as float32"
