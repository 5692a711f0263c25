"""What the steps of runs were made on, and how the machines of runs differ."""

from collections.abc import Mapping

from components.core.machine import Machine
from dashboards.text.report import Report

_UNKNOWN = "not recorded"


def made_on(report: Report) -> list[str]:
    """Return a sentence for each machine that steps of a run were made on; the first is enough."""
    by_machine: dict[str, dict[str, None]] = {}
    for row in report.stages:
        if row.machine is not None:
            by_machine.setdefault(str(row.machine), {})[row.component] = None
    if len(by_machine) == 1:
        return [f"Made on {machine}." for machine in by_machine]
    return [f"Made on {machine}: {', '.join(steps)}." for machine, steps in by_machine.items()]


def differences(reports: Mapping[str, Report]) -> dict[str, dict[str, str]]:
    """Return by field of `Machine` what each run has, where runs of one step differ.

    The same recipe, made on other features or threads, gives other weights. Only steps that all
    runs have are compared.
    """
    table: dict[str, dict[str, str]] = {}
    for field in Machine.model_fields:
        made = {name: _by_component(report, field) for name, report in reports.items()}
        shared = [step for step in _steps(made) if all(step in found for found in made.values())]
        if any(len({values[step] for values in made.values()}) > 1 for step in shared):
            table[f"machine: {field}"] = {
                name: _grouped({step: values[step] for step in shared})
                for name, values in made.items()
            }
    return table


def _steps(made: Mapping[str, dict[str, str]]) -> list[str]:
    return list(dict.fromkeys(step for found in made.values() for step in found))


def _by_component(report: Report, field: str) -> dict[str, str]:
    """Return what each component's steps have in a field; several values in alphabetical order."""
    found: dict[str, set[str]] = {}
    for row in report.stages:
        found.setdefault(row.component, set()).add(_shown(row.machine, field))
    return {component: " / ".join(sorted(values)) for component, values in found.items()}


def _shown(machine: Machine | None, field: str) -> str:
    if machine is None:
        return _UNKNOWN
    value = getattr(machine, field)
    return (", ".join(value) or "none") if isinstance(value, tuple) else str(value)


def _grouped(by_component: dict[str, str]) -> str:
    """Return the one value of all steps, or each value with its steps."""
    steps: dict[str, list[str]] = {}
    for component, value in by_component.items():
        steps.setdefault(value, []).append(component)
    if len(steps) == 1:
        return next(iter(steps))
    return "; ".join(f"{value} ({', '.join(names)})" for value, names in steps.items())
