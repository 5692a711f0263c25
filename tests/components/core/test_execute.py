"""Execution: once for each recipe, never on damaged inputs, and with a record that proves it."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field

from components.core.artifacts.base import Artifact, Frozen
from components.core.artifacts.data import Documents
from components.core.component import Component
from components.core.execute import address, execute, find
from components.core.machine import machine
from components.core.record import RECORD, adopt, read_record, verify
from components.core.settings import settings
from dashboards.text import lineage

ROOT = Path(__file__).parents[3]


class Text(Artifact):
    num_letters: int


class Texts(Frozen):
    first: Text
    second: Text | None = None


class Write(Component[Documents, Text]):
    """Copy a document, and note in a ledger outside that the work was done."""

    version: ClassVar[str] = "1.0.0"
    times: int = Field(default=1, ge=1)
    seed: int = 5

    def run(self, inputs: Documents, out: Path) -> Text:
        _note("write")
        time.sleep(float(os.environ.get("WORK_SECONDS", "0")))
        text = (inputs.path / "document.txt").read_text("utf-8") * self.times
        (out / "part").mkdir(exist_ok=True)
        (out / "part" / "text.txt").write_text(text, encoding="utf-8")
        (out / "metrics.jsonl").write_text("")
        (out / "checkpoints").mkdir(exist_ok=True)
        (out / "checkpoints" / "state").write_text("half-way")
        return Text(path=out, num_letters=len(text))


class Upper(Component[Texts, Text]):
    version: ClassVar[str] = "1.0.0"

    def run(self, inputs: Texts, out: Path) -> Text:
        _note("upper")
        text = (inputs.first.path / "part" / "text.txt").read_text("utf-8").upper()
        (out / "text.txt").write_text(text, encoding="utf-8")
        return Text(path=out, num_letters=len(text))


class Collection(Frozen):
    """Artifacts in a tuple and in a dict, one of them inside a model."""

    parts: tuple[Text, ...] = ()
    by_name: dict[str, Texts] = Field(default_factory=dict)


class Join(Component[Collection, Text]):
    version: ClassVar[str] = "1.0.0"

    def run(self, inputs: Collection, out: Path) -> Text:
        _note("join")
        texts = [*inputs.parts, *(each.first for each in inputs.by_name.values())]
        joined = "".join((text.path / "part" / "text.txt").read_text("utf-8") for text in texts)
        (out / "text.txt").write_text(joined, encoding="utf-8")
        return Text(path=out, num_letters=len(joined))


class Unfinished(Write):
    version: ClassVar[str] = "2.0.0.dev"


class Fragile(Component[Documents, Text]):
    """Goes on from what the last attempt left, and breaks at the fourth letter when told to."""

    version: ClassVar[str] = "1.0.0"

    def run(self, inputs: Documents, out: Path) -> Text:
        file = out / "letters.txt"
        done = file.read_text() if file.exists() else ""
        for letter in "abcdef"[len(done) :]:
            if letter == "d" and "BREAK" in os.environ:
                raise RuntimeError("out of memory")
            done += letter
            file.write_text(done)
            _note(letter)
        return Text(path=out, num_letters=len(done))


def _note(word: str) -> None:
    with Path(os.environ["LEDGER"]).open("a") as stream:
        stream.write(word + "\n")


@pytest.fixture(autouse=True)
def ledger(tmp_path, monkeypatch):
    """Return what work was done so far."""
    file = tmp_path / "ledger"
    file.touch()
    monkeypatch.setenv("LEDGER", str(file))
    return lambda: file.read_text().split()


@pytest.fixture
def data(tmp_path) -> Documents:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "document.txt").write_text("Über den Wolken", encoding="utf-8")
    return Documents(path=folder, fingerprint=adopt(folder), revision="77.dir", sources=())


def test_one_recipe_is_made_once_and_another_one_again(data, ledger):
    first = execute(Write(), data)
    assert first.path == address(Write(), data)
    assert execute(Write(), data) == first
    assert ledger() == ["write"]
    assert execute(Write(times=2), data).num_letters == 2 * first.num_letters
    assert ledger() == ["write", "write"]


def test_nothing_is_found_before_it_is_made_and_finding_does_no_work(data, ledger):
    assert find(Write(), data) is None
    made = execute(Write(), data)
    assert find(Write(), data) == made
    assert ledger() == ["write"]


def test_two_processes_at_the_same_time_do_the_work_once(data, ledger, tmp_path):
    code = (
        "from pathlib import Path; import time;"
        "from components.core.artifacts.data import Documents;"
        "from components.core.execute import execute;"
        "from tests.components.core.test_execute import Write;"
        f"data = Documents(path=Path({str(data.path)!r}), fingerprint={data.fingerprint!r},"
        " revision='77.dir', sources=());"
        f"ready = Path({str(tmp_path)!r}); (ready / f'ready-{{time.time_ns()}}').touch()\n"
        "while len(list(ready.glob('ready-*'))) < 2: time.sleep(0.01)\n"
        "print(execute(Write(), data).num_letters)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "WORK_SECONDS": "0.5"}
    command = [sys.executable, "-c", code]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    both = [subprocess.Popen(command, env=environment, **options) for _ in range(2)]
    answers = [process.communicate(timeout=120) for process in both]
    assert [answer.strip() for answer, _ in answers] == ["15", "15"], answers
    assert ledger() == ["write"]


def test_a_version_that_is_still_being_written_always_runs_again(data, ledger):
    execute(Unfinished(), data)
    execute(Unfinished(), data)
    assert ledger() == ["write", "write"]
    assert find(Unfinished(), data) is None


def test_a_crashed_run_leaves_no_record_and_gets_its_own_folder_back(data, ledger, monkeypatch):
    monkeypatch.setenv("BREAK", "1")
    with pytest.raises(RuntimeError, match="out of memory"):
        execute(Fragile(), data)
    folder = address(Fragile(), data)
    assert (folder / "letters.txt").read_text() == "abc"
    assert not (folder / RECORD).exists()
    assert find(Fragile(), data) is None
    monkeypatch.delenv("BREAK")
    assert execute(Fragile(), data).path == folder
    assert ledger() == list("abcdef"), "the second attempt did not go on from the first"


def test_a_run_again_that_crashes_does_not_leave_the_old_record(data, monkeypatch):
    made = execute(Unfinished(), data)
    (data.path / "document.txt").unlink()
    with pytest.raises(FileNotFoundError):
        execute(Unfinished(), data)
    assert not (made.path / RECORD).exists()


def test_a_flipped_byte_in_an_input_is_refused_with_the_name_of_the_file(data, ledger):
    text = execute(Write(), data)
    file = text.path / "part" / "text.txt"
    content = bytearray(file.read_bytes())
    content[3] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"part/text\.txt is not the file that .* made") as error:
        execute(Upper(), Texts(first=text))
    assert f"Remove {text.path}" in str(error.value)
    assert ledger() == ["write"], "a damaged input was read"
    assert find(Upper(), Texts(first=text)) is None

    shutil.rmtree(text.path)  # the remedy that the message names
    again = execute(Write(), data)
    assert execute(Upper(), Texts(first=again)).num_letters == text.num_letters


@pytest.mark.parametrize("how", ["flipped", "truncated", "deleted", "replaced by a folder"])
def test_what_was_made_before_is_not_served_damaged_and_the_remedy_makes_it_again(
    data, ledger, how
):
    made = execute(Write(), data)
    file = made.path / "part" / "text.txt"
    content = file.read_bytes()
    file.unlink()
    if how == "flipped":
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif how == "truncated":
        file.write_bytes(content[:-1])
    elif how == "replaced by a folder":
        file.mkdir()
    for serve in (find, execute):
        with pytest.raises(ValueError, match=rf"part/text\.txt is .* Remove {made.path}"):
            serve(Write(), data)
    assert ledger() == ["write"]

    shutil.rmtree(made.path)  # the remedy that the message names
    assert execute(Write(), data) == made
    assert file.read_bytes() == content
    assert ledger() == ["write", "write"]


def test_a_file_that_was_not_touched_is_not_read_again_and_one_that_was_is(data):
    made = execute(Write(), data)
    file = made.path / "part" / "text.txt"
    file.chmod(0)
    if os.geteuid() == 0:  # whom no mode keeps from reading: another inode of the same looks
        content, times = file.read_bytes(), file.stat()
        file.write_bytes(content[::-1])
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert find(Write(), data) == made, "it was read"
    os.utime(file)
    with pytest.raises((ValueError, PermissionError), match="text"):
        find(Write(), data)


def test_a_home_that_was_copied_is_proved_once_and_then_by_size_and_time(data):
    made = execute(Write(), data)
    file = made.path / "part" / "text.txt"
    content = file.read_bytes()
    os.utime(file)  # as `cp -r` does
    assert find(Write(), data) == made
    times = file.stat()
    file.write_bytes(content[::-1])
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert find(Write(), data) == made, "what was proved a moment ago was read again"


def test_an_artifact_of_a_folder_that_cannot_be_written_or_of_an_earlier_build_is_served(data):
    made = execute(Write(), data)
    (made.path / ".stamps.json").unlink()  # what an earlier build left
    (made.path / ".stamps.json").mkdir()  # what nobody can write to
    assert find(Write(), data) == made
    (made.path / "part" / "text.txt").write_text("other")
    with pytest.raises(ValueError, match="is not the file"):
        find(Write(), data)


def test_a_missing_file_of_a_nested_input_is_refused_with_its_name(data):
    text, other = execute(Write(), data), execute(Write(times=3), data)
    (other.path / "part" / "text.txt").unlink()
    with pytest.raises(ValueError, match=r"text\.txt is missing"):
        execute(Upper(), Texts(first=text, second=other))


def test_inputs_in_a_tuple_and_in_a_dict_stand_in_the_record_and_in_the_lineage(data):
    one, two, three = (execute(Write(times=times), data) for times in (1, 2, 3))
    made = execute(Join(), Collection(parts=(one, two), by_name={"de": Texts(first=three)}))
    record = read_record(made.path)
    expected = {"parts.0": one, "parts.1": two, "by_name.de.first": three}
    assert {name: source.path for name, source in record.inputs.items()} == {
        name: source.path for name, source in expected.items()
    }
    assert record.data_revision == "77.dir"

    for text in (one, two, three):  # in a real run a component made this one too
        file = text.path / RECORD
        file.write_text(read_record(text.path).model_copy(update={"inputs": {}}).model_dump_json())
    above = lineage.chain(made.path)["inputs"]
    assert {name: link["fingerprint"] for name, link in above.items()} == {
        name: source.fingerprint for name, source in expected.items()
    }


@pytest.mark.parametrize("damaged", ["parts", "by_name"])
def test_a_flipped_byte_in_an_input_of_a_tuple_or_dict_is_refused(data, ledger, damaged):
    one, two, three = (execute(Write(times=times), data) for times in (1, 2, 3))
    file = {"parts": two, "by_name": three}[damaged].path / "part" / "text.txt"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(ValueError, match=r"part/text\.txt is not the file that .* made"):
        execute(Join(), Collection(parts=(one, two), by_name={"de": Texts(first=three)}))
    assert "join" not in ledger(), "a damaged input was read"


def test_the_revision_of_the_data_is_found_at_whichever_input_has_one(data, tmp_path):
    other = Documents(path=data.path, fingerprint=data.fingerprint, revision="", sources=())
    brought = execute(Write(), other)
    file = brought.path / RECORD
    file.write_text(
        read_record(brought.path).model_copy(update={"data_revision": None}).model_dump_json()
    )
    made = execute(Join(), Collection(parts=(brought, execute(Write(times=2), data))))
    assert read_record(made.path).data_revision == "77.dir"


def test_the_record_holds_what_is_needed_to_trust_trace_and_repeat_it(data):
    text = execute(Write(times=2), data)
    made = execute(Upper(), Texts(first=text))
    record = read_record(text.path)
    assert record.component == Write().name
    assert record.version == "1.0.0"
    assert record.fingerprint == text.fingerprint == text.path.name
    assert record.config == {"times": 2, "seed": 5}
    assert record.seed == 5
    assert 0 <= record.seconds < 60
    content = (text.path / "part" / "text.txt").read_bytes()
    assert record.files == {"part/text.txt": hashlib.sha256(content).hexdigest()}
    assert record.inputs["input"].fingerprint == data.fingerprint
    assert record.data_revision == "77.dir"
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert record.git_revision.rstrip("+") == head.stdout.strip()
    import torch

    assert record.packages["torch"] == torch.__version__
    assert record.packages["python"] == ".".join(map(str, sys.version_info[:3]))
    assert record.machine == machine()
    assert record.machine.threads == settings().num_threads

    above = read_record(made.path)
    assert {k: v.fingerprint for k, v in above.inputs.items()} == {"first": text.fingerprint}
    assert above.inputs["first"].path == text.path
    assert above.data_revision == "77.dir", "the revision of the data is lost on the way"
    assert above.seed is None


def test_the_record_names_its_mlflow_run_however_short_the_work_was(data):
    from mlflow import MlflowClient

    record = read_record(execute(Write(), data).path)
    assert record.mlflow_run_id is not None
    run = MlflowClient(settings().tracking_uri).get_run(record.mlflow_run_id)
    assert run.data.tags["fingerprint"] == record.fingerprint


def test_the_record_is_written_last(data):
    """Its presence means complete: a reader between the two would trust half an artifact."""
    made = execute(Write(), data)
    files = [file for file in made.path.rglob("*") if file.is_file() and file.name[0] != "."]
    newest = max(files, key=lambda file: file.stat().st_mtime_ns)
    assert newest.name == RECORD
    assert len(files) == 4


def test_an_artifact_that_was_moved_to_another_home_still_loads(data, tmp_path, monkeypatch):
    text = execute(Write(), data)
    made = execute(Upper(), Texts(first=text))
    old = settings().home
    assert str(old) not in (made.path / RECORD).read_text("utf-8"), "an absolute path in JSON"
    stored = json.loads((made.path / RECORD).read_text("utf-8"))["inputs"]["first"]["path"]
    assert stored == f"{Write().name}/1.0.0/{text.fingerprint}"

    new = tmp_path / "moved"
    old.rename(new)
    monkeypatch.setenv("BLOOMERY_HOME", str(new))
    settings.cache_clear()
    found = find(Write(), data)
    assert found is not None
    assert found.path.is_relative_to(new)
    verify(found)
    again = find(Upper(), Texts(first=found))
    assert again is not None
    assert again.path.is_relative_to(new)
    assert read_record(again.path).inputs["first"].path == found.path


def test_a_damaged_record_is_an_error_that_says_what_to_remove(data):
    made = execute(Write(), data)
    file = made.path / RECORD
    file.write_text(file.read_text("utf-8")[:100], encoding="utf-8")
    with pytest.raises(ValueError, match=f"(?s)is damaged .* Remove {made.path}"):
        execute(Write(), data)


def test_a_component_that_changed_what_it_returns_without_a_new_version_is_an_error(data):
    made = execute(Write(), data)
    file = made.path / RECORD
    record = json.loads(file.read_text("utf-8"))
    record["artifact"]["num_words"] = record["artifact"].pop("num_letters")
    file.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ValueError, match="Raise the component's version"):
        execute(Write(), data)


def test_adopted_folders_are_known_by_their_content_alone(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "file").write_text("same")
        (tmp_path / name / ".hidden").write_text(name)
    assert adopt(tmp_path / "a") == adopt(tmp_path / "b")
    (tmp_path / "b" / "deep" / "file").rename(tmp_path / "b" / "file")
    assert adopt(tmp_path / "a") != adopt(tmp_path / "b"), "the name of a file does not count"
