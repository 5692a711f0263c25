"""Data from outside -> a new revision of `data/`; says so to whoever waits for it."""

import logging

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from components.core.artifacts.data import DataRevision
from components.core.settings import settings
from components.data.repository import dataset
from components.data.repository.ingested import Ingested
from components.data.sources.source import Source, holds_credentials
from flows.step import preemptible

REVISED = "bloomery.data.revised"

logger = logging.getLogger(__name__)


@flow
@preemptible
def ingest(
    name: str, source: Source, evaluation: bool = False, append: bool = False
) -> DataRevision:
    """Take documents into `data/NAME`, or `data/<kind>/NAME`, and pin the result.

    `evaluation` says the same as the kind of that name.

    Emits the event `bloomery.data.revised` with the revision, which automations can start a
    pipeline on. Raises ValueError as `dataset.add` does, and for a location with a password.
    """
    if holds_credentials(source.location):
        raise ValueError(
            "The location holds what looks like a password, which Prefect would keep and show. In "
            "a database's URL write ${BLOOMERY_SECRET_NAME} and set that variable on the worker"
        )
    if evaluation:
        source = source.model_copy(update={"kind": "evaluation"})
    done = _take_in(name, source, append)
    announce(done)
    return DataRevision(revision=done.revision)


def announce(done: Ingested) -> None:
    """Emit the event of a new revision, if an ingest made one, to the server in use."""
    if done.revision == done.revision_before:
        return
    emit_event(
        REVISED,
        resource={
            "prefect.resource.id": f"bloomery.data.{done.name}",
            "prefect.resource.name": done.name,
            "bloomery.revision": done.revision,
        },
        payload=done.model_dump(mode="json"),
    )


@task(name="data.add", cache_policy=NO_CACHE, persist_result=False)
def _take_in(name: str, source: Source, append: bool) -> Ingested:
    project, state = settings().project.resolve(), settings().home.resolve()
    return dataset.add(project, state, name, source, append=append)
