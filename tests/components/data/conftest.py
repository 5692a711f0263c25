"""A small project of its own for tests that take files out of `data/`."""

from pathlib import Path

import pytest

from components.core.settings import settings
from tests import small_project


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project with little data; the folder `out` beside it is empty."""
    project = small_project.make(tmp_path / "project")
    (tmp_path / "out").mkdir()
    monkeypatch.setenv("BLOOMERY_PROJECT", str(project))
    settings.cache_clear()
    return project
