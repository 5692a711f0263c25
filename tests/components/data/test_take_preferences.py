"""The preference prompts: known by themselves, whatever else `data/` holds."""

import pytest

from components.core.artifacts.data import DataFile, DataFiles
from components.data.repository.pinned import pinned_files
from components.data.take_preferences import TakePreferences, preferences_in


def test_only_other_prompts_make_other_preferences(project):
    data = pinned_files()
    web = DataFile(name="web/documents.jsonl", md5="0" * 32)
    more = DataFiles(files=(*data.files, web), revision="2.dir")
    step = TakePreferences()
    same = step.fingerprint(preferences_in(data))
    assert step.fingerprint(preferences_in(more)) == same
    other = [file.model_copy(update={"md5": "1" * 32}) for file in data.files]
    changed = DataFiles(files=tuple(other), revision=data.revision)
    assert step.fingerprint(preferences_in(changed)) != same


def test_the_prompts_of_a_project_are_taken_whole(project, tmp_path):
    preferences = TakePreferences().run(preferences_in(pinned_files()), tmp_path / "out")
    kept = (project / "data" / "preferences" / "prompts.jsonl").read_bytes()
    assert (preferences.path / "prompts.jsonl").read_bytes() == kept


def test_named_sets_are_taken_in_place_of_the_built_in_prompts():
    files = ("preferences/prompts.jsonl", "preferences/a/comparisons.jsonl")
    data = DataFiles(files=tuple(DataFile(name=n, md5=n) for n in files), revision="1.dir")
    assert [file.name for file in preferences_in(data, ("a",)).files] == [files[1]]
    with pytest.raises(ValueError, match="no preferences called b; it has: a"):
        preferences_in(data, ("b",))
