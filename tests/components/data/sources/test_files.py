"""Local files: one, a folder, a pattern or several, and what they are called."""

import pytest

from components.data.document import Document
from components.data.sources.intake import Intake
from components.data.sources.reading import plan, read
from components.data.sources.source import Reading, Source


@pytest.fixture
def folder(tmp_path):
    for name in ("a/one.txt", "a/two.txt", "b/one.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"This is {name}.")
    return tmp_path


def ids(state, location, *more: object) -> list[str]:
    source = Source(location=str(location), more=tuple(map(str, more)))
    found = read(Reading(source, "x", state / "state"))
    return [document.id for document in found if isinstance(document, Document)]


def test_one_file_has_its_name_and_those_of_a_folder_their_paths_in_it(folder):
    assert ids(folder, folder / "a" / "one.txt") == ["x/one.txt"]
    assert ids(folder, folder / "a") == ["x/one.txt", "x/two.txt"]


def test_several_have_their_paths_below_what_they_have_in_common(folder):
    assert ids(folder, folder / "a" / "one.txt", folder / "b") == ["x/a/one.txt", "x/b/one.txt"]
    assert ids(folder, folder / "a", folder / "b" / "one.txt") == [
        "x/a/one.txt",
        "x/a/two.txt",
        "x/b/one.txt",
    ]


def test_a_pattern_is_matched_and_no_file_is_read_twice(folder):
    assert ids(folder, folder / "a" / "*.txt", folder / "a" / "one.txt") == [
        "x/one.txt",
        "x/two.txt",
    ]
    assert ids(folder, folder / "**" / "one.txt") == ["x/a/one.txt", "x/b/one.txt"]
    with pytest.raises(ValueError, match=r"\*\.md matches nothing"):
        ids(folder, folder / "*.md")


def test_a_plan_names_the_reader_of_each_file_and_opens_none(folder):
    for name in ("c.tar.zst", "d.zip", "e.csv.bz2", "f.doc"):
        (folder / "b" / name).write_bytes(b"")
    reading = Reading(Source(location=str(folder / "b")), "x", folder / "state")
    assert dict(plan(reading)) == {
        "b/c.tar.zst": "zstd of each file of a .tar archive",
        "b/d.zip": "each file of a .zip archive",
        "b/e.csv.bz2": "bz2 of CSV",
        "b/f.doc": "passed over: another kind of file",
        "b/one.txt": "text",
    }
    assert reading.num_bytes == 0


def test_links_to_folders_are_followed_once_and_what_leads_nowhere_is_counted(tmp_path):
    top, far = tmp_path / "top", tmp_path / "far"
    (top / "sub").mkdir(parents=True)
    far.mkdir()
    (far / "x.txt").write_text("far")
    (top / "a.txt").write_text("near")
    (top / "linked").symlink_to(far)
    (top / "file.txt").symlink_to(far / "x.txt")
    (top / "sub" / "round").symlink_to(top)
    (far / "back").symlink_to(top)
    (top / "gone.txt").symlink_to(tmp_path / "nowhere")
    intake = Intake(Reading(Source(location=str(top)), "mine", tmp_path), tmp_path / "rejects")
    texts = {document.id: document.text for document in intake.documents()}
    assert texts == {"mine/a.txt": "near", "mine/file.txt": "far", "mine/linked/x.txt": "far"}
    assert intake.rejected == {"link": 3}


def test_a_refusal_says_which_kinds_the_harmless_files_were(tmp_path):
    for name in ("a.doc", "b.doc", "c.doc", "d.odt", "e.odt", "f.rtf"):
        (tmp_path / name).write_bytes(b"words")
    intake = Intake(Reading(Source(location=str(tmp_path)), "mine", tmp_path), tmp_path / "rejects")
    with pytest.raises(ValueError, match=r"3 \.doc files.*2 \.odt files.*1 \.rtf files"):
        list(intake.documents())
