"""How sure it is that one of two models answers more of the micro-tasks that both were given."""

import json

from components.core.artifacts.reports import Interval, ProbeReport

_RESAMPLES = 2000


def accuracy_difference(candidate: ProbeReport, champion: ProbeReport) -> Interval | None:
    """Return the 95 % interval of the candidate's accuracy less the champion's; None without tasks.

    A paired bootstrap over tasks (Koehn 2004, "Statistical significance tests for machine
    translation evaluation"): how hard a task is cancels out.
    """
    import numpy as np

    ours, theirs = _outcomes(candidate), _outcomes(champion)
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        return None
    gained = np.array([float(ours[task]) - float(theirs[task]) for task in shared])
    draws = np.random.default_rng(0).integers(len(gained), size=(_RESAMPLES, len(gained)))
    low, high = np.percentile(gained[draws].mean(axis=1), [2.5, 97.5])
    return Interval(low=float(low), high=float(high))


def _outcomes(report: ProbeReport) -> dict[str, bool]:
    """Return whether each task was answered rightly, by its id."""
    file = report.path / "report.json"
    if not file.exists():
        return {}
    return {item["id"]: item["right"] for item in json.loads(file.read_text("utf-8"))["items"]}
