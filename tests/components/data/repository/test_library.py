"""The standard library's documentation: from its sources, the same on every Python 3.11."""

import hashlib
import inspect
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from components.data.repository import library

ROOT = Path(__file__).parents[4]


def test_every_module_gives_one_document_of_its_docstrings():
    documents = list(library.documents())
    assert [document.id for document in documents] == [f"library/{m}" for m in library.MODULES]
    assert len(documents) >= 80
    assert min(len(document.text) for document in documents) > 100
    assert sum(len(document.text) for document in documents) > 500_000


def test_a_docstring_stands_below_the_name_and_signature_it_describes():
    import heapq

    text = next(d.text for d in library.documents() if d.id == "library/heapq")
    assert text.startswith("module heapq\n\nHeap queue algorithm (a.k.a. priority queue).\n")
    signature = f"def heapq.nsmallest{inspect.signature(heapq.nsmallest)}"
    assert f"\n\n{signature}\n\n{inspect.getdoc(heapq.nsmallest)}\n" in text


def test_private_definitions_are_left_out():
    num_headings = 0
    for document in library.documents():
        heading = rf"^(?:async def|def|class) {re.escape(document.metadata['module'])}\.([\w.]+)\("
        names = re.findall(heading, document.text, re.MULTILINE)
        assert not [name for name in names if name.startswith("_") or "._" in name]
        num_headings += len(names)
    assert num_headings > 1500


def test_nothing_is_imported_to_read_its_documentation():
    code = (
        "import sys; from components.data.repository import library; list(library.documents());"
        "sys.exit('telnetlib' in sys.modules or 'turtle' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_missing_source_is_an_error_that_names_module_and_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(ValueError, match=r"__future__: no source in .*: install the whole"):
        next(library.documents())


def test_another_python_is_refused_since_its_words_differ(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 12, 0, "final", 0))
    with pytest.raises(ValueError, match=r"use Python 3\.11"):
        next(library.documents())


@pytest.mark.skipif(
    not Path("/usr/bin/python3.11").exists()
    or Path(sysconfig.get_path("stdlib")) == Path("/usr/lib/python3.11"),
    reason="needs a second Python 3.11, such as Debian's",
)
def test_the_python_of_the_distribution_gives_the_same_documents():
    here = {document.id: document.text for document in library.documents()}
    code = (
        "import hashlib, sysconfig; from components.data.repository.library import documents;"
        "print(sysconfig.get_path('stdlib'),"
        " hashlib.sha256(''.join(d.text for d in documents()).encode()).hexdigest())"
    )
    there = subprocess.run(
        ["/usr/bin/python3.11", "-c", code],
        env={"PYTHONPATH": f"{ROOT}:{sysconfig.get_path('purelib')}"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert there == [
        "/usr/lib/python3.11",
        hashlib.sha256("".join(here.values()).encode()).hexdigest(),
    ]
