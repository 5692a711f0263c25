"""Who asks for a step: the outermost flow run."""

from functools import cache
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from components.core.journal import Origin


def current_origin() -> Origin:
    """Return the outermost flow run that this code runs in."""
    if flow_run.id is None:
        return Origin()
    return _origin(flow_run.root_flow_run_id)


@cache
def _origin(root: str) -> Origin:
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(root))
        flow = client.read_flow(run.flow_id)
    return Origin(run_id=root, run_name=run.name, flow=flow.name)
