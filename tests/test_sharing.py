"""Folders that the processes of one test session share."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.sharing import ON_ONE_STACK, made_once

_ROOT = Path(__file__).parents[1]
_USES_A_STACK = re.compile(r"\b(?:stack|planning): Stack\b")


def test_a_folder_is_made_by_the_first_of_many_and_the_others_wait_for_it(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        folder.mkdir()  # fails if it is there
        (folder / "whole").touch()

    def ask(_: int) -> bool:
        return (made_once(tmp_path / "shared", make) / "whole").exists()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))


def test_one_that_breaks_off_is_begun_anew_by_the_next(tmp_path: Path) -> None:
    def break_off(folder: Path) -> None:
        folder.mkdir()
        (folder / "half").touch()
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        made_once(tmp_path / "shared", break_off)
    made = made_once(tmp_path / "shared", lambda folder: folder.mkdir())
    assert list(made.iterdir()) == []


def test_every_file_that_uses_the_stack_of_the_session_is_named() -> None:
    texts = {
        str(file.relative_to(_ROOT)): file.read_text("utf-8")
        for file in (_ROOT / "tests" / "infra").glob("test_*.py")
    }
    users = [
        file
        for file, text in texts.items()
        if _USES_A_STACK.search(text) and "def stack(" not in text
    ]
    assert sorted(users) == sorted(ON_ONE_STACK)
