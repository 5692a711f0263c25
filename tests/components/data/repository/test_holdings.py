"""What `data/` holds: every kind with its size, and how it begins."""

import pytest

from components.data.repository.holdings import beginnings, holding, holdings
from tests import small_project


def test_every_kind_of_data_is_listed_with_its_rows(project):
    found = {held.name: held for held in holdings(project)}
    assert {name: held.kind for name, held in found.items()} == {
        "instructions": "instructions",
        "library": "documents",
        "preferences": "preferences",
        "speeches": "documents",
    }
    assert found["speeches"].rows == 12
    assert all(held.is_built_in for held in found.values())
    sizes = [(project / "data" / file).stat().st_size for file in found["instructions"].files]
    assert found["instructions"].bytes == sum(sizes)
    assert len(sizes) == 3


def test_rows_begin_as_their_files_do(project):
    [(name, text)] = beginnings(project, holding(project, "speeches"), 1)
    assert name.startswith("speeches/")
    assert text.startswith("Fellow")
    assert len(list(beginnings(project, holding(project, "preferences"), 4))) == 4


def test_data_that_is_not_there_is_an_error_with_the_way_to_it(tmp_path):
    project = small_project.make(tmp_path / "other")
    (project / "data").rename(tmp_path / "away")
    with pytest.raises(ValueError, match=r"is not there: `bloomery run data`"):
        holdings(project)
