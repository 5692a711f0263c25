"""The candidate and the champion, as their records have them: what a decision is about."""

from components.core.artifacts.models import Checkpoint, CompressedModel
from components.core.artifacts.reports import Interval, ProbeReport
from components.core.record import RECORD, Record, read_record
from components.release.difference import accuracy_difference
from components.release.quick_champion import quick_champion
from dashboards.text.decision import Contender

_SIZES = ("bytes_on_disk", "decode_tokens_per_second", "num_parameters")


def compared(
    name: str,
    candidate: Checkpoint | CompressedModel,
    report: ProbeReport,
    champion: ProbeReport | None,
) -> tuple[Contender, Contender | None, Interval | None]:
    """Return the candidate, the champion of `name`, and the interval between their accuracies."""
    made = candidate.model_dump()
    ours = _contender("candidate", report, made)
    current = quick_champion(name)
    if champion is None or current is None:
        return ours, None, None
    title = f"champion (version {current.version})"
    folder = current.folder
    released = _model(read_record(folder)) if (folder / RECORD).exists() else {}
    return (
        ours,
        _contender(title, champion, released),
        accuracy_difference(report, champion),
    )


def _model(released: Record) -> dict[str, object]:
    """Return what is known of the model that was released: of its export, if it has one."""
    source = released.inputs.get("compressed") or released.inputs["model"]
    return read_record(source.path).artifact if (source.path / RECORD).exists() else {}


def _contender(title: str, report: ProbeReport, made: dict[str, object]) -> Contender:
    return Contender.model_validate(
        {
            "title": title,
            "bits_per_byte": report.bits_per_byte,
            "accuracy": report.accuracy,
            "accuracy_interval": report.accuracy_interval,
            **{key: made.get(key) for key in _SIZES},
        }
    )
