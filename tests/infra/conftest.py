"""One stack for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests import small_project
from tests.infra.stacks import Stack, end, environment, ready


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack over a small project, without a login and without Ray."""
    folder = tmp_path_factory.mktemp("stack")
    project = small_project.make(folder / "project")
    started = ready(environment(folder / "home", BLOOMERY_PROJECT=str(project)))
    yield started
    end(started)
