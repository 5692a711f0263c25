"""One stack for all tests of this folder."""

from collections.abc import Iterator

import psutil
import pytest

from tests import small_project
from tests.infra.stacks import Stack, end, environment, ready, waiting_runs


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack over a small project, without a login and without Ray, that stops as it should."""
    folder = tmp_path_factory.mktemp("stack")
    project = small_project.make_to_run(folder / "project")
    started = ready(environment(folder / "home", BLOOMERY_PROJECT=str(project)))
    yield started
    up = started.process.poll() is None  # a test may have killed it
    tree = psutil.Process(started.process.pid).children(recursive=True) if up else []
    end(started)
    if up:
        assert started.process.returncode == 0
        assert not (started.home / "servers.json").exists()
    _, alive = psutil.wait_procs(tree, timeout=60)
    assert alive == [], "they outlive the stack"


@pytest.fixture
def planning(stack: Stack) -> Iterator[Stack]:
    """The stack with its pool paused: runs are planned and wait; they are deleted afterwards."""
    assert stack.call("/work_pools/bloomery", {"is_paused": True}, "PATCH")[0] == 204
    yield stack
    for run in waiting_runs(stack):
        stack.call(f"/flow_runs/{run['id']}", method="DELETE")
    assert stack.call("/work_pools/bloomery", {"is_paused": False}, "PATCH")[0] == 204
