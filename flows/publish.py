"""What a run came to, where people look: scorecard, data card, lineage; in Prefect and MLflow."""

import logging
import time
from pathlib import Path
from typing import Literal
from uuid import UUID

from prefect.artifacts import create_markdown_artifact

from components.core.artifacts.data import DataCard
from components.core.artifacts.models import Release
from components.core.journal import find_run
from components.core.record import REPORT, read_record
from components.core.servers.endpoints import flow_run_url, mlflow_run_url
from components.core.tracking.client import client, cut, experiment_id, log_numbers, parent_run
from components.release.description import description
from components.release.model_card import Facts
from components.release.registry import note
from dashboards.text.card import markdown as markdown_of_card
from dashboards.text.card import read_card
from dashboards.text.dialogue_card import markdown as markdown_of_dialogues
from dashboards.text.dialogue_card import read_card as read_dialogue_card
from dashboards.text.lineage import markdown as markdown_of_lineage
from dashboards.text.report import Report, report_of
from dashboards.text.scorecard import markdown
from flows.links import artifact_url
from flows.origin import current_origin
from flows.served import is_serving

logger = logging.getLogger(__name__)

_DESCRIPTION = 5000  # characters that MLflow's table has room for

Status = Literal["FINISHED", "FAILED", "SCHEDULED"]
"""What MLflow shows of a whole run; SCHEDULED stands for one that waits for a person's answer."""


def publish(status: Status) -> None:
    """Publish the scorecard of the flow run that this code runs in, unless all is served."""
    if not is_serving():
        _publish(status)


def publish_waiting() -> str:
    """Publish the scorecard so far of a run that waits for a person; return its address."""
    return artifact_url(_publish("SCHEDULED"))


def _publish(status: Status) -> UUID:
    origin = current_origin()
    folder, run = find_run(origin.run_id)
    report = report_of(folder, run)
    made = create_markdown_artifact(markdown(report), key="scorecard", description="Scorecard")
    if not all(stage.cached for stage in report.stages):  # a run that did no work has no MLflow run
        _log(report, status)
    return UUID(str(made))


def describe_release(released: Release, facts: Facts) -> None:
    """Write to a registered version, unless it has a description, what it is and was made from."""
    if is_serving():
        return
    mlflow, version = client(), str(released.registered_version)
    if mlflow.get_model_version(released.name, version).description:
        return
    experiment, origin = experiment_id(mlflow), current_origin()
    text = markdown_of_lineage(released.path, lambda run: _within_mlflow(experiment, run))
    tags = {
        "data_revision": read_record(released.path).data_revision or "",
        "flow_run_url": flow_run_url(origin.run_id),
    }
    note(released.name, released.registered_version, tags)
    said = f"{description(facts, released)}\n\nMade from:\n\n{text}\n"
    where = f"`bloomery lineage {released.name}`"
    mlflow.update_model_version(released.name, version, cut(said, _DESCRIPTION, where))


def _within_mlflow(experiment: str, run_id: str) -> str:
    """Return the address of a run on the pages of MLflow, wherever these are."""
    return f"#{mlflow_run_url(experiment, run_id).partition('#')[2]}"


def publish_card(card: DataCard) -> None:
    """Publish a data card on the flow run that this code runs in; MLflow has it from its step."""
    if is_serving():
        return
    text = markdown_of_card(read_card(card.path))
    page = f"The whole card: `{card.path / REPORT / 'card.html'}`"
    if run_id := read_record(card.path).mlflow_run_id:
        page += f", and under `{REPORT}` of the MLflow run `{run_id}`"
    create_markdown_artifact(f"{text}\n{page}.", key="data-card", description="Data card")


def publish_dialogues(folder: Path) -> None:
    """Publish the card of dialogues or comparisons on the flow run that this code runs in."""
    if is_serving():
        return
    card = read_dialogue_card(folder)
    text = f"{markdown_of_dialogues(card)}\nWhat was left out: `{folder / 'rejects.jsonl'}`."
    create_markdown_artifact(text, key=f"{card['kind']}-card", description="Data card")


def publish_frontier(folder: Path) -> None:
    """Publish what was tried to make a model smaller on the flow run that this code runs in."""
    if is_serving():
        return
    text = (folder / REPORT / "frontier.md").read_text("utf-8")
    page = f"The picture: `{folder / REPORT / 'frontier.png'}`"
    create_markdown_artifact(f"{text}\n{page}.", key="frontier", description="Frontier")


def _log(report: Report, status: Status) -> None:
    try:
        mlflow, now = client(), int(time.time() * 1000)
        run_id = parent_run(mlflow, experiment_id(mlflow), report.origin)
        for stage in report.stages:
            if stage.stage == "data":  # else their seconds are the first of MLflow's charts
                continue
            numbers = stage.model_dump(exclude_none=True, exclude={"cached", "machine"})
            log_numbers(mlflow, run_id, {stage.label: numbers}, now)
        mlflow.log_text(run_id, markdown(report), "scorecard.md")
        mlflow.log_text(run_id, report.model_dump_json(indent=2), "report.json")
        mlflow.set_tag(run_id, "data_revision", report.data_revision)
        mlflow.set_terminated(run_id, status)
    except Exception as error:
        logger.warning("MLflow does not have the scorecard of this run (%s)", error)
