"""Flow runs as Prefect has them: past and planned, the steps of one, and what each step read."""

import json
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from dashboards.reading.sources import ask_prefect, prefect_url

_COLUMNS = ["run", "flow", "state", "started", "seconds", "link", "id"]
_PLANNED_COLUMNS = ["run", "flow", "state", "due", "link"]
_TOP = {"parent_task_run_id": {"is_null_": True}}  # what no other run started
_WAITING_TYPES = ["SCHEDULED", "PENDING"]
_STEP_COLUMNS = ["step", "state", "seconds", "started", "flow", "id", "reads"]
_FILL = {
    "Completed": "#2f855a",
    "Cached": "#3b6ea8",
    "Running": "#b7791f",
    "Failed": "#c53030",
    "Crashed": "#c53030",
    "Rejected": "#c53030",
}
_WAITING = "#6b7280"


def recent(limit: int = 40) -> pd.DataFrame:
    """Return the latest runs that began or ended, one a row, `seconds` of wall time.

    A run that waits to be retried or resumed has begun; one that only waits is `planned`.
    """
    over = {**_TOP, "state": {"type": {"not_any_": _WAITING_TYPES}}}
    resting = {**_TOP, **_waiting(has_begun=True)}
    body = {"sort": "EXPECTED_START_TIME_DESC", "limit": limit}
    runs = [
        run
        for which in (over, resting)
        for run in ask_prefect("/flow_runs/filter", {**body, "flow_runs": which})
    ]
    names = _flow_names({run["flow_id"] for run in runs})
    rows = [
        {
            "run": run["name"],
            "flow": names.get(run["flow_id"], ""),
            "state": run["state_name"] or "",
            "started": _moment(run["start_time"] or run["expected_start_time"]),
            "seconds": run["estimated_run_time"],
            "link": _page(run["id"]),
            "id": run["id"],
        }
        for run in runs
    ]
    found = pd.DataFrame(rows, columns=_COLUMNS)
    newest = found.sort_values("started", ascending=False, kind="stable", ignore_index=True)
    return newest.head(limit)


def planned(limit: int = 10) -> pd.DataFrame:
    """Return the next runs that have not begun, one a row, the earliest first."""
    body = {
        "flow_runs": {**_TOP, **_waiting(has_begun=False)},
        "sort": "EXPECTED_START_TIME_ASC",
        "limit": limit,
    }
    runs: list[dict[str, Any]] = ask_prefect("/flow_runs/filter", body)
    names = _flow_names({run["flow_id"] for run in runs})
    rows = [
        {
            "run": run["name"],
            "flow": names.get(run["flow_id"], ""),
            "state": run["state_name"] or "",
            "due": _moment(run["expected_start_time"]),
            "link": _page(run["id"]),
        }
        for run in runs
    ]
    return pd.DataFrame(rows, columns=_PLANNED_COLUMNS)


def number_planned() -> int:
    """Return how many runs have not begun."""
    body = {"flow_runs": {**_TOP, **_waiting(has_begun=False)}}
    return ask_prefect("/flow_runs/count", body)


def _waiting(has_begun: bool) -> dict[str, Any]:
    return {
        "state": {"type": {"any_": _WAITING_TYPES}},
        "start_time": {"is_null_": not has_begun},
    }


def _page(run_id: str) -> str:
    return f"{prefect_url()}/runs/flow-run/{run_id}"


def _flow_names(ids: set[str]) -> dict[str, str]:
    if not ids:
        return {}
    body = {"flows": {"id": {"any_": sorted(ids)}}}
    return {flow["id"]: flow["name"] for flow in ask_prefect("/flows/filter", body)}


def steps(run_id: str) -> pd.DataFrame:
    """Return the steps of a run and of the flows that it started, in the order of their start.

    `reads` holds the ids of the steps whose result a step was given.
    """
    inner = _subflows(run_id)
    ids = [run_id, *(run["id"] for run in inner)]
    body = {"flow_runs": {"id": {"any_": ids}}, "sort": "EXPECTED_START_TIME_ASC", "limit": 200}
    tasks: list[dict[str, Any]] = ask_prefect("/task_runs/filter", body)
    stands_for = {run["parent_task_run_id"]: run["id"] for run in inner}
    names = _flow_names({run["flow_id"] for run in inner})
    flow_of = {run["id"]: names.get(run["flow_id"], "") for run in inner}
    sources = _sources(tasks, stands_for)
    rows = [
        {
            "step": task["name"].rsplit("-", 1)[0],
            "state": task["state_name"] or "",
            "seconds": task["estimated_run_time"],
            "started": _moment(task["start_time"]),
            "flow": flow_of.get(task["flow_run_id"], ""),
            "id": task["id"],
            "reads": sources[task["id"]],
        }
        for task in tasks
        if task["id"] not in stands_for
    ]
    found = pd.DataFrame(rows, columns=_STEP_COLUMNS)
    return found.sort_values("started", kind="stable", ignore_index=True)


def _subflows(run_id: str) -> list[dict[str, Any]]:
    """Return the flow runs below `run_id`, at any depth."""
    found: list[dict[str, Any]] = []
    level = [run_id]
    while level:
        body = {"flow_runs": {"parent_flow_run_id": {"any_": level}}, "limit": 200}
        inner = ask_prefect("/flow_runs/filter", body)
        found += inner
        level = [run["id"] for run in inner]
    return found


def _sources(tasks: list[dict[str, Any]], stands_for: dict[str, str]) -> dict[str, list[str]]:
    """Return the ids of the steps that each task read, by the task's id.

    A step that was given nothing by a step beside it reads what its flow was given, and a flow
    gives what the last of its steps made. Prefect also names a probe as the source of every model
    that went through it; of probes only the release reads.
    """
    steps = [task for task in tasks if task["id"] not in stands_for]
    last = {task["flow_run_id"]: task for task in steps}
    given = {
        stands_for[task["id"]]: [last[i] for i in _inputs(task, "flow_run") if i in last]
        for task in tasks
        if task["id"] in stands_for
    }
    known = {task["id"]: task for task in steps}
    found: dict[str, list[str]] = {}
    for task in steps:
        beside = [known[i] for i in _inputs(task, "task_run") if i in known]
        read = beside or given.get(task["flow_run_id"], [])
        releases = task["name"].startswith("release.")
        kept = [each for each in read if releases or not each["name"].startswith("evals.")]
        found[task["id"]] = list(dict.fromkeys(each["id"] for each in kept))
    return found


def _inputs(task: dict[str, Any], kind: str) -> list[str]:
    given = [each for parameter in task["task_inputs"].values() for each in parameter]
    return [each["id"] for each in given if each["input_type"] == kind]


def lineage(found: pd.DataFrame) -> str:
    """Return the steps as a graph in DOT: a node a step with its time, coloured by its state.

    It goes down the page, so that a long pipeline is as wide as a short one. An edge that a longer
    path implies is left out.
    """
    nodes = [
        f"{json.dumps(row['id'])} [label={_label(row)}, fillcolor="
        f'"{_FILL.get(row["state"], _WAITING)}"]'
        for row in found.to_dict("records")
    ]
    reads = {row["id"]: row["reads"] for row in found.to_dict("records")}
    edges = [
        f"{json.dumps(source)} -> {json.dumps(step)}"
        for step, sources in _reduced(reads).items()
        for source in sources
    ]
    style = (
        'bgcolor="transparent"; nodesep=0.2; ranksep=0.22; '
        'node [shape=box, style="filled,rounded", fontname="sans-serif", fontsize=11, '
        'fontcolor="white", color="transparent", margin="0.12,0.05", height=0.3]; '
        'edge [color="#8a94a6", arrowsize=0.6]'
    )
    return "\n".join(["digraph {", style, *nodes, *edges, "}"])


def _reduced(reads: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the edges of an acyclic graph without those that a longer path implies."""
    above: dict[str, set[str]] = {}

    def ancestors(step: str) -> set[str]:
        if step not in above:
            sources = reads.get(step, [])
            above[step] = {*sources, *(far for near in sources for far in ancestors(near))}
        return above[step]

    return {
        step: [s for s in sources if not any(s in ancestors(other) for other in sources)]
        for step, sources in reads.items()
    }


def _label(row: dict[Any, Any]) -> str:
    state = row["state"].lower()
    seconds = "" if state == "cached" or row["seconds"] is None else f", {row['seconds']:,.1f} s"
    return json.dumps(f"{row['step']}\n{state}{seconds}", ensure_ascii=False)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
