"""The fingerprint: it changes with everything a result depends on, and with nothing else."""

from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import ValidationError

from components.core.artifacts.base import Artifact, Frozen
from components.core.artifacts.data import DataFile, DataFiles, DataRevision
from components.core.component import Component, identity
from components.core.execute import address
from components.core.settings import settings


class Letters(Artifact):
    num_letters: int


class Both(Frozen):
    left: Letters
    right: Letters | None = None


class Inner(Frozen):
    rate: float = 0.5
    steps: tuple[int, ...] = (1, 2)


class Count(Component[Both, Letters]):
    version: ClassVar[str] = "1.0.0"
    width: int = 3
    inner: Inner = Inner()

    def run(self, inputs: Both, out: Path) -> Letters:
        raise AssertionError("a fingerprint must not run anything")


class Newer(Count):
    version: ClassVar[str] = "1.0.1"


class Swapped(Component[Both, Letters]):
    """`Count` with its fields in another order."""

    version: ClassVar[str] = "1.0.0"
    inner: Inner = Inner()
    width: int = 3

    def run(self, inputs: Both, out: Path) -> Letters:
        raise AssertionError("a fingerprint must not run anything")


class Brought(Component[DataRevision, Letters]):
    version: ClassVar[str] = "1.0.0"

    def run(self, inputs: DataRevision, out: Path) -> Letters:
        raise AssertionError("a fingerprint must not run anything")


class Counted(Component[DataFiles, Letters]):
    version: ClassVar[str] = "1.0.0"

    def run(self, inputs: DataFiles, out: Path) -> Letters:
        raise AssertionError("a fingerprint must not run anything")


A = Letters(path=Path("/nowhere/a"), fingerprint="aaaa", num_letters=1)
B = Letters(path=Path("/nowhere/b"), fingerprint="bbbb", num_letters=1)


def test_it_is_sixteen_hexadecimal_digits_and_the_same_each_time():
    found = Count().fingerprint(Both(left=A))
    assert len(found) == 16
    assert int(found, 16) >= 0
    assert found == Count().fingerprint(Both(left=A))
    # a golden value: if it changes, every artifact that was ever made is lost from sight
    golden = Brought().fingerprint(DataRevision(revision="1.dir"))
    assert golden == _by_hand(f'["{Brought().name}", "1.0.0", {{}}, {{"revision": "1.dir"}}]')


def test_where_files_came_from_is_no_part_of_the_fingerprint_and_their_content_is():
    def fingerprint(md5: str, revision: str) -> str:
        files = DataFiles(files=(DataFile(name="a", md5=md5),), revision=revision)
        return Counted().fingerprint(files)

    assert fingerprint("1", "1.dir") == fingerprint("1", "2.dir") != fingerprint("2", "1.dir")


def _by_hand(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("component", "inputs"),
    [
        (Newer(), Both(left=A)),
        (Count(width=4), Both(left=A)),
        (Count(inner=Inner(rate=0.25)), Both(left=A)),
        (Count(inner=Inner(steps=(2, 1))), Both(left=A)),
        (Count(), Both(left=B)),
        (Count(), Both(left=A, right=A)),
    ],
    ids=["version", "field", "nested field", "order of a tuple", "input", "another input"],
)
def test_it_changes_with_whatever_the_result_depends_on(component, inputs):
    assert component.fingerprint(inputs) != Count().fingerprint(Both(left=A))


def test_inputs_that_change_places_change_it():
    there, back = Both(left=A, right=B), Both(left=B, right=A)
    assert Count().fingerprint(there) != Count().fingerprint(back)


def test_components_of_other_modules_differ_by_their_name():
    class Moved(Count):
        __module__ = "components.data.count"

    assert Moved().name == "data.count"
    assert Moved().stage == "data"
    assert Moved().version == Count().version
    assert Moved().model_dump() == Count().model_dump()
    assert Moved().fingerprint(Both(left=A)) != Count().fingerprint(Both(left=A))


def test_it_does_not_change_with_the_order_of_the_fields():
    assert Swapped().name == Count().name
    assert Swapped().fingerprint(Both(left=A)) == Count().fingerprint(Both(left=A))


def test_it_does_not_change_with_paths_or_with_what_an_input_measured():
    elsewhere = Letters(path=Path("/another/place"), fingerprint="aaaa", num_letters=99)
    assert Count().fingerprint(Both(left=elsewhere)) == Count().fingerprint(Both(left=A))
    assert identity({"a": [Path("/x"), A], "b": (1, None)}) == {"a": ["/x", "aaaa"], "b": [1, None]}


def test_it_does_not_change_with_where_and_how_it_runs(monkeypatch, tmp_path):
    before, old = Count().fingerprint(Both(left=A)), address(Count(), Both(left=A))
    for name, value in {
        "HOME": str(tmp_path / "other"),
        "NUM_WORKERS": "4",
        "NUM_THREADS": "7",
        "RAY_ADDRESS": "auto",
        "TRACKING_URI": "http://elsewhere",
        "EXPERIMENT": "another",
    }.items():
        monkeypatch.setenv(f"BLOOMERY_{name}", value)
    settings.cache_clear()
    assert Count().fingerprint(Both(left=A)) == before
    new = address(Count(), Both(left=A))
    assert new != old
    assert new.relative_to(tmp_path / "other") == old.relative_to(tmp_path / "home")


def test_it_is_known_for_a_whole_chain_before_anything_runs(home):
    def last(revision: str, width: int) -> str:
        first = address(Brought(), DataRevision(revision=revision))
        second = address(Count(width=width), Both(left=Letters(path=first, num_letters=0)))
        third = Both(left=Letters(path=second, num_letters=0))
        return Count().fingerprint(third)

    assert last("1.dir", 3) == last("1.dir", 3)
    assert last("1.dir", 3) != last("2.dir", 3), "the root of the lineage does not count"
    assert last("1.dir", 3) != last("1.dir", 4), "the config of an input's maker does not count"
    assert not home.exists()


def test_a_field_nobody_declared_is_an_error_that_names_it_and_no_field_can_be_changed():
    with pytest.raises(ValidationError, match="widht"):
        Count(widht=4)
    with pytest.raises(ValidationError, match="frozen"):
        Count().width = 4


def test_a_component_says_what_it_makes():
    assert Count.output() is Letters
