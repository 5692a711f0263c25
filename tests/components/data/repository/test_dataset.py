"""The dataset: what data.dvc pins can be had again, and what is not sound is never handed out."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from components.core.files import sha256
from components.data import document as document_module
from components.data.document import (
    document_files,
    read_documents,
    write_documents,
)
from components.data.repository import dataset, speeches
from components.data.repository.objects import md5_of, object_of
from components.data.sources.source import Source

ROOT = Path(__file__).parents[4]


def new_project(folder: Path, git: bool = True) -> Path:
    """Make a project of the committed DVC files."""
    (folder / ".dvc").mkdir(parents=True)
    for name in (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", "data.dvc"):
        shutil.copy(ROOT / name, folder / name)
    if git:
        subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    return folder


def some_text(folder: Path, sentence: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "one.txt").write_text(sentence, encoding="utf-8")
    return folder


def add(project: Path, state: Path, name: str, folder: Path, kind="documents", **how) -> str:
    """Add the documents of a folder and return the revision."""
    source = Source(location=str(folder), kind=kind)
    return dataset.add(project, state, name, source, **how).revision


def objects(folder: Path) -> list[Path]:
    """Return the files, not the listings, of a DVC cache or remote."""
    return [p for p in folder.rglob("*") if p.is_file() and p.suffix != ".dir"]


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)
    file.chmod(0o444)


def snapshot(project: Path) -> tuple[str, dict[str, bytes]]:
    """Return all that a failure must leave alone: data.dvc and every byte of data/."""
    data = project / "data"
    files = {str(p.relative_to(data)): p.read_bytes() for p in data.rglob("*") if p.is_file()}
    return (project / "data.dvc").read_text(), files


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """Make a project that pins three addresses, in its cache and its remote."""
    project = new_project(tmp_path_factory.mktemp("dataset") / "template")
    three = list(speeches.documents())[:3]
    write_documents(project / "data" / "speeches" / "documents.jsonl", three)
    (project / "data" / "\u00fcber uns").mkdir()
    (project / "data" / "\u00fcber uns" / "a.txt").write_text("nested and not ASCII")
    site = str(tmp_path_factory.mktemp("site"))
    for command in (["add", "--quiet", "data"], ["push", "--quiet"]):
        subprocess.run(
            [sys.executable, "-P", "-m", "dvc", *command],
            cwd=project,
            env=os.environ | {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": site},
            check=True,
        )
    return project


@pytest.fixture
def project(template, tmp_path) -> Path:
    """Return a copy of the template that a test may change."""
    return shutil.copytree(template, tmp_path / "project", symlinks=True)


def test_our_hash_is_the_one_that_dvc_computes_and_git_sees_nothing_but_the_pin(project):
    assert dataset.digest(project / "data") == dataset.revision(project)
    assert dataset.status(project) == "clean"
    changed = subprocess.run(
        ["git", "status", "--porcelain"], cwd=project, capture_output=True, text=True, check=True
    ).stdout.split()
    assert sorted(changed[1::2]) == [".dvc/", ".dvcignore", ".gitignore", "data.dvc"]
    for name in (".dvc/config", ".dvc/.gitignore", ".gitignore"):
        assert (project / name).read_bytes() == (ROOT / name).read_bytes(), "DVC edited it"


def test_a_fresh_clone_builds_what_is_pinned_and_keeps_it_in_cache_and_remote(tmp_path):
    project = new_project(tmp_path / "clone")
    state = project / ".bloomery"
    pinned = (project / "data.dvc").read_bytes()
    assert dataset.status(project) == "missing"
    dataset.restore(project, state)
    assert dataset.status(project) == "clean"
    assert (project / "data.dvc").read_bytes() == pinned
    assert len(objects(state / "dvc-cache")) == len(objects(state / "dvc-remote")) == 6
    assert (state / "dvc_site").stat().st_mode & 0o777 == 0o700


def test_an_added_dataset_makes_a_revision_and_older_ones_come_back(project, tmp_path):
    state = project / ".bloomery"
    before = snapshot(project)
    first = add(project, state, "mine", some_text(tmp_path / "v1", "First version."))
    pin_of_first = (project / "data.dvc").read_text()
    second = add(project, state, "mine", some_text(tmp_path / "v2", "Second version."))
    pin_of_second = (project / "data.dvc").read_text()
    assert len({first, second, dataset.revision(project)}) == 2
    [document] = read_documents(project / "data" / "mine" / "documents.jsonl")
    assert (document.id, document.text) == ("mine/one.txt", "Second version.")

    (project / "data.dvc").write_text(pin_of_first)
    assert dataset.status(project) == "changed"
    dataset.restore(project, state)
    [document] = read_documents(project / "data" / "mine" / "documents.jsonl")
    assert document.text == "First version."

    shutil.rmtree(state / "dvc-cache")
    shutil.rmtree(project / "data")
    (project / "data.dvc").write_text(before[0])
    dataset.restore(project, state)
    assert snapshot(project) == before

    (project / "data.dvc").write_text(pin_of_second)
    dataset.restore(project, state)
    assert dataset.status(project) == "clean"


def test_a_flipped_byte_in_the_remote_is_refused_and_leaves_no_data(project):
    state = project / ".bloomery"
    shutil.rmtree(state / "dvc-cache")
    shutil.rmtree(project / "data")
    flip_a_byte(max(objects(state / "dvc-remote"), key=lambda file: file.stat().st_size))
    built = dataset.revision(ROOT)
    with pytest.raises(ValueError, match=rf"pins {dataset.revision(project)}, .* give {built}"):
        dataset.restore(project, state)
    assert not (project / "data").exists()
    assert not list((project / ".dvc" / "tmp").glob("bloomery/*"))


def test_a_flipped_byte_in_the_cache_is_fetched_again_from_the_remote(project, caplog):
    state = project / ".bloomery"
    before = snapshot(project)
    shutil.rmtree(project / "data")
    flip_a_byte(max(objects(state / "dvc-cache"), key=lambda file: file.stat().st_size))
    dataset.restore(project, state)
    assert snapshot(project) == before
    assert "is corrupt: removed from DVC's cache" in caplog.text


def test_a_changed_folder_is_neither_added_to_nor_overwritten(project, tmp_path):
    (project / "data" / "speeches" / "documents.jsonl").write_text("edited by hand")
    before = snapshot(project)
    text = some_text(tmp_path / "v1", "First version.")
    with pytest.raises(ValueError, match=r"was changed by hand: move it away, or pin it"):
        add(project, project / ".bloomery", "mine", text)
    with pytest.raises(ValueError, match=r"documents\.jsonl is not in DVC's cache and would be"):
        dataset.restore(project, project / ".bloomery")
    assert snapshot(project) == before


def test_documents_that_cannot_be_read_leave_data_and_pin_as_they_were(project, tmp_path):
    before = snapshot(project)
    source = some_text(tmp_path / "v1", "First version.")
    (source / "two.txt").write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match=r"50\.0% .* bad \(1 not UTF-8\), the first: byte 3 is"):
        add(project, project / ".bloomery", "mine", source)
    assert snapshot(project) == before


def test_a_remote_that_cannot_be_written_leaves_data_and_pin_as_they_were(project, tmp_path):
    state = project / ".bloomery"
    add(project, state, "mine", some_text(tmp_path / "v1", "First version."))
    before = snapshot(project)
    shutil.rmtree(state / "dvc-remote")
    (state / "dvc-remote").write_text("a file where the folder should be")
    for name, version in (("mine", "v2"), ("other", "v3")):
        with pytest.raises(ValueError, match=r"`dvc push data\.dvc` failed"):
            add(project, state, name, some_text(tmp_path / version, version))
        assert snapshot(project) == before
    assert dataset.status(project) == "clean"


def test_another_state_folder_and_a_missing_git_are_told_to_dvc_in_the_ignored_file(
    template, tmp_path
):
    project = new_project(tmp_path / "no git, \u00fc", git=False)
    state = tmp_path / "state of, the # machine"
    shutil.copytree(template / ".bloomery", state)
    shutil.copy(template / "data.dvc", project / "data.dvc")
    committed = (project / ".dvc" / "config").read_bytes()
    shutil.rmtree(state / "dvc-cache")
    dataset.restore(project, state)
    add(project, state, "mine", some_text(tmp_path / "v1", "First version."))
    assert dataset.status(project) == "clean"
    assert not (project / ".bloomery").exists()
    assert len(objects(state / "dvc-cache")) == len(objects(state / "dvc-remote")) == 3
    assert (project / ".dvc" / "config").read_bytes() == committed


def test_settings_that_a_person_wrote_are_not_overwritten(project, tmp_path):
    file = project / ".dvc" / "config.local"
    file.write_text("[core]\nverbose = true\n")
    dataset.restore(project, project / ".bloomery")
    with pytest.raises(ValueError, match=r"config\.local is yours: put into it"):
        dataset.restore(project, tmp_path / "state")
    assert file.read_text() == "[core]\nverbose = true\n"


@pytest.mark.parametrize("name", ["", "My data", "../up", "speeches", "instructions", "a/b", "a\n"])
def test_a_name_that_is_no_folder_of_the_users_own_is_refused(project, tmp_path, name):
    with pytest.raises(ValueError, match=r"cannot name a dataset: use a-z, 0-9, _ and -"):
        add(project, project / ".bloomery", name, tmp_path)


def test_a_listing_that_leads_out_of_the_folder_is_refused(project, tmp_path):
    state = project / ".bloomery"
    shutil.rmtree(project / "data")
    [content] = [p for p in objects(state / "dvc-cache") if p.stat().st_size < 100]
    md5 = content.parent.name + content.name
    listing = json.dumps([{"md5": md5, "relpath": "../outside.txt"}]).encode()
    (tmp_path / "listing").write_bytes(listing)
    pin = md5_of(tmp_path / "listing") + ".dir"
    target = object_of(state / "dvc-cache", pin)
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(listing)
    old = dataset.revision(project)
    (project / "data.dvc").write_text((project / "data.dvc").read_text().replace(old, pin))
    with pytest.raises(ValueError, match=r"lists '\.\./outside\.txt', outside data/"):
        dataset.restore(project, state)
    assert not (project / ".dvc" / "tmp" / "bloomery" / "outside.txt").exists()


def test_a_project_without_a_pin_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"data\.dvc pins no folder: restore it from git"):
        dataset.revision(tmp_path)


def test_evaluation_sets_lie_apart_and_are_no_source_of_training(project, tmp_path):
    state = project / ".bloomery"
    add(project, state, "quiz", some_text(tmp_path / "quiz", "What is asked."), "evaluation")
    add(project, state, "quiz", some_text(tmp_path / "mine", "What is learned."))
    [asked] = read_documents(project / "data" / "evaluation" / "quiz" / "documents.jsonl")
    assert asked.text == "What is asked."
    trained = {file.parent.name for file in (project / "data").glob("*/documents.jsonl")}
    assert trained == {"speeches", "quiz"}


def test_appending_adds_each_document_once_and_says_what_was_there(project, tmp_path):
    state = project / ".bloomery"
    lines = [json.dumps({"text": f"Number {number}."}) for number in range(4)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines[:2]))
    source = Source(location=str(tmp_path / "a.jsonl"), license="MIT")
    first = dataset.add(project, state, "mine", source)
    (tmp_path / "a.jsonl").write_text("\n".join([lines[0], lines[2], lines[3]]))
    second = dataset.add(project, state, "mine", source, append=True)
    again = dataset.add(project, state, "mine", source, append=True)
    assert (second.documents, second.total_documents) == (2, 4)
    assert second.rejected == {"already there": 1}
    assert (again.documents, again.rejected) == (0, {"already there": 3})
    assert first.revision != second.revision == again.revision
    found = list(read_documents(project / "data" / "mine" / "documents.jsonl"))
    assert [d.text for d in found] == [f"Number {number}." for number in range(4)]
    ids = [d.id for d in found]
    assert ids[:2] + ids[3:] == [f"mine/a.jsonl#{number}" for number in (1, 2, 3)]
    assert ids[2].startswith("mine/a.jsonl#2~"), "another text has its id"


def test_appending_leaves_full_files_as_they_are(project, tmp_path, monkeypatch):
    state = project / ".bloomery"
    monkeypatch.setattr(document_module, "SHARD_BYTES", 25)
    first, second = ([{"text": f"Number {n}."} for n in numbers] for numbers in (range(5), (5, 6)))
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, first)))
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, second)))
    before = dataset.add(project, state, "mine", Source(location=str(tmp_path / "a.jsonl")))
    more = Source(location=str(tmp_path / "b.jsonl"))
    done = dataset.add(project, state, "mine", more, append=True)
    files = document_files(project / "data" / "mine")
    assert (len(before.sha256), len(files)) == (2, 3)
    assert done.sha256["documents.jsonl"] == before.sha256["documents.jsonl"]
    texts = [document.text for file in files for document in read_documents(file)]
    assert texts == [f"Number {number}." for number in range(7)]
    assert (done.documents, done.total_documents) == (2, 7)
    assert done.sha256 == {file.name: sha256(file) for file in files}


class Slow(BaseHTTPRequestHandler):
    """Sends a text when `meanwhile` is done."""

    meanwhile: Callable[[], None]

    def do_GET(self) -> None:
        type(self).meanwhile()
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"Slow.")

    def log_message(self, *_: object) -> None:
        pass


def test_a_source_that_takes_its_time_keeps_nobody_waiting(project, tmp_path):
    state, waited = project / ".bloomery", []
    some_text(tmp_path / "quick", "Quick.")
    Slow.meanwhile = lambda: waited.append(
        add_elsewhere(project, "quick", tmp_path / "quick").wait(25)
    )
    with HTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.handle_request).start()
        source = Source(location=f"http://127.0.0.1:{server.server_port}/slow.txt")
        done = dataset.add(project, state, "slow", source)
    assert waited == [0]
    assert {"quick", "slow"} <= {folder.name for folder in (project / "data").iterdir()}
    assert dataset.status(project) == "clean"
    dataset.bring(project, state, done.revision_before, tmp_path / "before")
    assert "quick" in {folder.name for folder in (tmp_path / "before").iterdir()}
    assert not list((project / ".dvc" / "tmp" / "bloomery-new").iterdir())


def test_an_ingest_leaves_its_counts_hashes_and_rejects_beside_each_other(project, tmp_path):
    state = project / ".bloomery"
    before = dataset.revision(project)
    (tmp_path / "a.jsonl").write_text('{"text": "good"}\n{"text": ""}\nno JSON\n')
    source = Source(location=str(tmp_path / "a.jsonl"), license="MIT", max_bad=0.5)
    done = dataset.add(project, state, "mine", source)
    [summary] = (state / "ingests" / "mine").glob("*.json")
    assert json.loads(summary.read_text()) == done.model_dump(mode="json")
    assert (done.revision_before, done.revision) == (before, dataset.revision(project))
    file = project / "data" / "mine" / "documents.jsonl"
    assert done.sha256 == {"documents.jsonl": sha256(file)}
    assert (done.documents, done.text_bytes, done.license) == (1, 4, "MIT")
    assert done.read_bytes == (tmp_path / "a.jsonl").stat().st_size
    assert done.rejected == {"blank": 1, "not JSON": 1}
    rows = [json.loads(line) for line in Path(done.rejects).read_text().splitlines()]
    assert [(row["id"], row["reason"]) for row in rows] == [
        ("mine/a.jsonl#2", "blank"),
        ("mine/a.jsonl#3", "not JSON"),
    ]


_ADD = """
import os, resource, sys
from pathlib import Path
from components.data.repository import dataset
from components.data.sources.source import Source
project, name, location, how = sys.argv[1:]
put = dataset.put
def killed(new, target, project):
    if how == "killed before":
        os.kill(os.getpid(), 9)
    put(new, target, project)
    if how == "killed after":
        os.kill(os.getpid(), 9)
dataset.put = killed
if how == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
dataset.add(Path(project), Path(project) / ".bloomery", name, Source(location=location))
"""


def add_elsewhere(project: Path, name: str, location: Path, how: str = "") -> subprocess.Popen:
    command = [sys.executable, "-c", _ADD, str(project), name, str(location), how]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("how", "name"), [("killed before", "mine"), ("killed after", "other")])
def test_a_process_killed_while_it_puts_its_data_into_place_leaves_no_trace(
    project, tmp_path, how, name
):
    text = some_text(tmp_path / "v2", "Second version.")
    expected = added_elsewhere(tmp_path, project, name, text)
    before = snapshot(project)
    assert add_elsewhere(project, name, text, how).wait() == -9
    assert dataset.status(project) == "clean"
    assert snapshot(project) == before
    assert add_elsewhere(project, name, text, how).wait() == -9
    assert add(project, project / ".bloomery", name, text) == expected


def added_elsewhere(folder: Path, project: Path, name: str, text: Path) -> str:
    """Return the revision that adding to a copy of the project gives."""
    copy = shutil.copytree(project, folder / "copy", symlinks=True)
    return add(copy, copy / ".bloomery", name, text)


def test_a_full_disk_leaves_data_and_pin_as_they_were(project, tmp_path):
    before = snapshot(project)
    (tmp_path / "a.jsonl").write_text('{"text": "a good document"}\n' * 20_000)
    refused = add_elsewhere(project, "mine", tmp_path / "a.jsonl", "full")
    assert "File too large" in refused.communicate()[1]
    assert refused.returncode == 1
    assert snapshot(project) == before
    assert not list((project / ".dvc" / "tmp").glob("bloomery/*"))
    add(project, project / ".bloomery", "mine", tmp_path / "a.jsonl")


def test_two_processes_that_add_at_once_both_end_in_the_dataset(project, tmp_path):
    texts = {name: some_text(tmp_path / name, f"This is {name}.") for name in ("one", "two")}
    working = [add_elsewhere(project, name, text) for name, text in texts.items()]
    assert [process.wait() for process in working] == [0, 0]
    assert {"one", "two"} <= {folder.name for folder in (project / "data").iterdir()}
    assert dataset.status(project) == "clean"


def test_a_revision_comes_back_from_the_remote_when_the_cache_is_empty(project, tmp_path):
    state = project / ".bloomery"
    before = snapshot(project)
    old = dataset.revision(project)
    new = add(project, state, "mine", some_text(tmp_path / "v1", "First version."))
    shutil.rmtree(state / "dvc-cache")
    pinned = (project / "data.dvc").read_bytes()
    dataset.bring(project, state, old, tmp_path / "old")
    assert dataset.digest(tmp_path / "old") == old
    assert (project / "data.dvc").read_bytes() == pinned
    with pytest.raises(ValueError, match="is not empty"):
        dataset.bring(project, state, old, tmp_path / "old")
    shutil.rmtree(state / "dvc-cache")
    dataset.checkout(project, state, old)
    assert snapshot(project) == before
    assert dataset.status(project) == "clean"
    shutil.rmtree(state / "dvc-cache")
    dataset.checkout(project, state, new)
    assert dataset.revision(project) == new
    (project / "data" / "mine" / "documents.jsonl").write_text("edited")
    with pytest.raises(ValueError, match="would be lost"):
        dataset.checkout(project, state, old)
    assert dataset.revision(project) == new


def test_few_documents_are_said_at_once_with_what_makes_more_of_them(project, tmp_path, caplog):
    folder = tmp_path / "two"
    folder.mkdir()
    for name in ("one", "two"):
        parts = [f"Paragraph {number} of {name}." for number in range(120)]
        (folder / f"{name}.txt").write_text("\n\n".join(parts))
    add(project, project / ".bloomery", "few", folder)
    assert "data/few has 2 documents" in caplog.text
    assert "--unit paragraph" in caplog.text
    caplog.clear()
    by_paragraph = Source(location=str(folder), unit="paragraph")
    assert dataset.add(project, project / ".bloomery", "few", by_paragraph).documents == 240
    assert "has 240 documents" not in caplog.text
