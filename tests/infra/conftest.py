"""One stack for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.infra.stacks import Stack, end, environment, ready


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack without a login and without Ray."""
    started = ready(environment(tmp_path_factory.mktemp("stack") / "home"))
    yield started
    end(started)
