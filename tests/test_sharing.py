"""Folders that the processes of one test session share."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.sharing import made_once


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
