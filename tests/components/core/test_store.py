"""A store that machines share: whole or absent, proved on the way back, and never in the way."""

import logging
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest

from components.core import store
from components.core.artifacts.base import Artifact
from components.core.artifacts.data import DataRevision
from components.core.component import Component
from components.core.execute import address, execute
from components.core.record import RECORD
from components.core.settings import settings
from tests.places import s3

made_by = list[str]()
_INPUT = DataRevision(revision="1234.dir")


class Poem(Artifact):
    num_letters: int


class Compose(Component[DataRevision, Poem]):
    version: ClassVar[str] = "1.0.0"

    def run(self, inputs: DataRevision, out: Path) -> Poem:
        made_by.append(str(settings().home))
        (out / "verses").mkdir(exist_ok=True)
        (out / "verses" / "first.txt").write_text("o rose, thou art sick", encoding="utf-8")
        (out / "checkpoints").mkdir(exist_ok=True)
        (out / "checkpoints" / "state").write_text("half-way", encoding="utf-8")
        return Poem(path=out, num_letters=21)


class Draft(Compose):
    version: ClassVar[str] = "2.0.0.dev"


@pytest.fixture
def machine_of(tmp_path, monkeypatch):
    """Return a function that makes this process another machine with the same store."""
    made_by.clear()
    store._away.clear()
    monkeypatch.setenv("BLOOMERY_ARTIFACT_STORE", f"file://{tmp_path}/store")

    def become(name: str) -> None:
        monkeypatch.setenv("BLOOMERY_HOME", str(tmp_path / name))
        settings.cache_clear()

    yield become
    store._away.clear()


def _stored(tmp_path: Path, name: str) -> Path:
    (found,) = (tmp_path / "store").glob(f"*/*/*/{name}")
    return found


def test_what_one_machine_made_another_takes_and_proves(machine_of, tmp_path):
    machine_of("first")
    made = execute(Compose(), _INPUT)
    machine_of("second")
    taken = execute(Compose(), _INPUT)
    assert made_by == [str(tmp_path / "first")]
    assert taken.path.is_relative_to(tmp_path / "second")
    assert taken == made.model_copy(update={"path": taken.path})
    assert (taken.path / "verses" / "first.txt").read_text() == "o rose, thou art sick"
    names = sorted(file.name for file in taken.path.iterdir())
    assert [name for name in names if name[0] != "."] == [RECORD, "verses"]


@pytest.mark.parametrize("how", ["changed", "missing"])
def test_a_damaged_file_is_refused_by_name_made_again_and_replaced(
    machine_of, tmp_path, caplog, how
):
    machine_of("first")
    execute(Compose(), _INPUT)
    file = _stored(tmp_path, "verses/first.txt")
    file.unlink() if how == "missing" else file.write_text("o rose, thou art sicK")
    machine_of("second")
    execute(Compose(), _INPUT)
    assert len(made_by) == 2
    assert "verses/first.txt is " in caplog.text
    machine_of("third")
    execute(Compose(), _INPUT)
    assert len(made_by) == 2, "the damaged one was not replaced"


def test_a_record_that_names_a_file_elsewhere_is_refused(machine_of, tmp_path, caplog):
    machine_of("first")
    execute(Compose(), _INPUT)
    record = _stored(tmp_path, RECORD)
    record.write_text(record.read_text().replace("verses/first.txt", "../../../../stolen.txt"))
    machine_of("second")
    execute(Compose(), _INPUT)
    assert len(made_by) == 2
    assert "names a file outside its folder" in caplog.text


def test_what_was_not_sent_to_its_end_is_not_there(machine_of, tmp_path):
    machine_of("first")
    execute(Compose(), _INPUT)
    _stored(tmp_path, RECORD).unlink()
    machine_of("second")
    execute(Compose(), _INPUT)
    assert len(made_by) == 2


def test_a_store_that_is_away_costs_one_warning_and_gets_what_it_missed_by_sync(
    machine_of, tmp_path, caplog
):
    (tmp_path / "store").write_text("a file where a folder should be")
    machine_of("first")
    execute(Compose(), _INPUT)
    assert [r.levelno for r in caplog.records if "store" in r.message] == [logging.WARNING]
    with pytest.raises(RuntimeError, match="did not take"):
        list(store.sync())
    (tmp_path / "store").unlink()
    assert list(store.sync()) == [address(Compose(), _INPUT)]
    assert list(store.sync()) == []
    store._away.clear()
    machine_of("second")
    execute(Compose(), _INPUT)
    assert len(made_by) == 1


def test_a_version_under_development_stays_at_home(machine_of, tmp_path):
    machine_of("first")
    execute(Draft(), _INPUT)
    assert list(store.sync()) == []
    assert not (tmp_path / "store").exists()


def test_a_bucket_is_a_store_like_a_folder(machine_of, tmp_path, monkeypatch):
    with s3("bloomery") as keys:
        for name, value in keys.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("BLOOMERY_ARTIFACT_STORE", "s3://bloomery/artifacts")
        try:
            machine_of("first")
            execute(Compose(), _INPUT)
            machine_of("second")
            taken = execute(Compose(), _INPUT)
        finally:
            fsspec.get_filesystem_class("s3").clear_instance_cache()
    assert made_by == [str(tmp_path / "first")]
    assert (taken.path / "verses" / "first.txt").exists()
