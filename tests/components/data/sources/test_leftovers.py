"""What systems leave and how they name things: no fault of whoever brings the files."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from components.data.document import Document
from components.data.sources.leftovers import is_left_over
from components.data.sources.reading import read
from components.data.sources.source import Reading, Source

TEXT = b"A text that is worth reading."


def zipped(file: Path, names: dict[bytes, str]) -> Path:
    """Write a zip whose entries have these bytes as names, written in that code page's way."""
    places = {b"ABC"[n : n + 1] * len(name): name for n, name in enumerate(names)}
    with zipfile.ZipFile(file, "w") as archive:
        for place in places:
            archive.writestr(zipfile.ZipInfo(place.decode()), TEXT)
    content = file.read_bytes()
    for place, name in places.items():
        content = content.replace(place, name)
    file.write_bytes(content)
    return file


def found(location: Path, state: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the ids of the documents, less that of their file, and the rejects with reasons."""
    all_found = list(read(Reading(Source(location=str(location)), "x", state)))
    prefix = f"x/{location.name}/" if location.is_file() else "x/"
    documents = [d.id.removeprefix(prefix) for d in all_found if isinstance(d, Document)]
    rejects = [
        (r.id.removeprefix(prefix), r.reason) for r in all_found if not isinstance(r, Document)
    ]
    return documents, rejects


def test_entries_with_backslashes_are_paths_and_those_that_lead_out_are_refused(tmp_path):
    names = {b"corpus\\2024\\one.txt": "", b"corpus\\two.txt": "", b"..\\..\\three.txt": ""}
    documents, rejects = found(zipped(tmp_path / "a.zip", names), tmp_path)
    assert documents == ["corpus/2024/one.txt", "corpus/two.txt"]
    assert rejects == [("../../three.txt", "unsafe entry")]


def test_a_drive_or_a_server_in_a_name_is_refused(tmp_path):
    names = {b"C:\\windows\\one.txt": "", b"\\\\server\\share\\two.txt": "", b"\\three.txt": ""}
    documents, rejects = found(zipped(tmp_path / "a.zip", names), tmp_path)
    assert (documents, {reason for _, reason in rejects}) == ([], {"unsafe entry"})


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("資料/表と図.txt", "cp932"),
        ("表.txt", "cp932"),
        ("ソース.txt", "cp932"),
        ("Übung/Größe.txt", "cp437"),
        ("café naïve.txt", "cp437"),
        ("данные.txt", "utf-8"),
        ("資料.txt", "utf-8"),
    ],
)
def test_names_of_old_zips_are_read_in_the_code_page_of_their_writer(tmp_path, name, encoding):
    file = zipped(tmp_path / "a.zip", {name.encode(encoding): ""})
    assert found(file, tmp_path) == ([name], [])


@pytest.mark.parametrize(
    "name",
    [
        *("__MACOSX/letters/._a.txt", "letters/._a.txt", ".DS_Store", "a/Thumbs.db"),
        *("desktop.ini", "$RECYCLE.BIN/x.txt", "~$report.txt", ".Spotlight-V100/x.txt"),
    ],
)
def test_what_systems_leave_is_passed_over_in_folders_and_archives(tmp_path, name):
    assert is_left_over(name)
    (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "in" / name).write_bytes(b"\0\5\26\7")
    (tmp_path / "in" / "letter.txt").write_bytes(TEXT)
    assert found(tmp_path / "in", tmp_path) == (["letter.txt"], [(name, "left by a system")])
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, b"\0\5\26\7")
        archive.writestr("letter.txt", TEXT)
    assert found(tmp_path / "a.zip", tmp_path) == (["letter.txt"], [(name, "left by a system")])


@pytest.mark.parametrize("name", ["notes.DS_Store.txt", "thumbs.txt", "a_.txt", "desktop.txt"])
def test_files_that_are_only_called_alike_are_read(name):
    assert not is_left_over(name)


def test_a_name_that_is_not_utf8_is_escaped_and_its_file_read(tmp_path):
    (tmp_path / "in").mkdir()
    for name in (b"caf\xe9.txt", b"plain.txt"):
        (tmp_path / "in" / os.fsdecode(name)).write_bytes(TEXT)
    documents, rejects = found(tmp_path / "in", tmp_path)
    assert documents == ["caf\\xe9.txt", "plain.txt"]
    assert rejects == []


def test_names_in_a_tar_that_are_no_utf8_are_read_under_an_escaped_name(tmp_path):
    file = tmp_path / "a.tar"
    with tarfile.open(file, "w", encoding="latin-1", format=tarfile.GNU_FORMAT) as archive:
        for name in ("caf\u00e9.txt", "\u00fcber/z.txt"):
            info = tarfile.TarInfo(name)
            info.size = 5
            archive.addfile(info, io.BytesIO(b"words"))
    found = read(Reading(Source(location=str(file)), "mine", tmp_path / "state"))
    assert [each.id for each in found] == [
        "mine/a.tar/caf\\xe9.txt",
        "mine/a.tar/\\xfcber/z.txt",
    ]
