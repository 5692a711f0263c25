"""What a step made, in half a line: for logs, where one line a step says how a run is going."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.core.record import RECORD, read_record
from components.core.tracking import spool


def made(folder: Path) -> str:
    """Return the few numbers that say what is in the folder of a step; none for one without any."""
    if not (folder / RECORD).exists():
        return ""
    found = read_record(folder).artifact
    for _, point in spool.read(folder):
        if "validation_bits_per_byte" in point["metrics"]:
            found["bits_per_byte"] = point["metrics"]["validation_bits_per_byte"]
    return ", ".join(_parts(found))


def _parts(found: dict[str, Any]) -> Iterator[str]:
    if "passed" in found:
        yield "passed" if found["passed"] else f"not passed: {'; '.join(found['failures'])}"
    if "registered_version" in found:
        yield f"{found['name']} version {found['registered_version']}, {found['alias']}"
    if "trigram" in found:
        yield f"{found['trigram']:.2f} bits per byte by trigrams"
    for name, form, unit, scale in _NUMBERS:
        value = found.get(name)
        if isinstance(value, dict):  # by split
            value = sum(value.values())
        if isinstance(value, int | float):
            yield f"{format(value if scale == 1 else value / scale, form)} {unit}"


_NUMBERS = (  # field, format, unit, what one of the unit is
    ("bits_per_byte", ".2f", "bits per byte", 1),
    ("accuracy", ".1f", "% of the micro-tasks", 0.01),
    ("num_parameters", ".2f", "M parameters", 1e6),
    ("bytes_on_disk", ".1f", "MB", 1e6),
    ("decode_tokens_per_second", ",.0f", "tokens a second", 1),
    ("num_documents", ",", "documents", 1),
    ("num_tokens", ",", "tokens", 1),
    ("num_pairs", ",", "pairs", 1),
    ("vocab_size", ",", "tokens in the vocabulary", 1),
)
