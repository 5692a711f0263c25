"""Checkpoints: whole or absent, newest first, and never trusted when damaged."""

import logging

import pytest
import torch

from components.lib import checkpoint


def _save(out, *steps):
    for step in steps:
        state = {"step": step, "weights": torch.full((1000,), float(step))}
        checkpoint.save(out, step, state)


def _folder(out, step):
    return out / "checkpoints" / f"step_{step:08d}"


def _flip_a_byte(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_run_that_never_saved_has_none(tmp_path):
    assert checkpoint.newest(tmp_path) is None


def test_what_was_saved_comes_back(tmp_path):
    state = {"step": 3, "model": {"w": torch.randn(4, 4)}, "random": torch.get_rng_state()}
    checkpoint.save(tmp_path, 3, state)
    found = checkpoint.newest(tmp_path)
    assert found["step"] == 3
    assert torch.equal(found["model"]["w"], state["model"]["w"])
    assert torch.equal(found["random"], state["random"])


def test_the_newest_is_used_and_only_two_are_kept(tmp_path):
    _save(tmp_path, 5, 10, 100, 20_000)
    assert checkpoint.newest(tmp_path)["step"] == 20_000
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step_00000100", "step_00020000"]


@pytest.mark.parametrize("file", ["state.pt", "manifest.json"])
@pytest.mark.parametrize("damage", [_flip_a_byte, lambda f: f.unlink(), lambda f: f.write_text("")])
def test_a_damaged_one_is_set_aside_and_the_one_before_is_used(tmp_path, caplog, file, damage):
    _save(tmp_path, 10, 20)
    damage(_folder(tmp_path, 20) / file)
    with caplog.at_level(logging.WARNING):
        found = checkpoint.newest(tmp_path)
    assert found["step"] == 10
    assert torch.equal(found["weights"], torch.full((1000,), 10.0))
    assert "step_00000020 is damaged" in caplog.text
    assert not _folder(tmp_path, 20).exists()
    assert checkpoint.newest(tmp_path)["step"] == 10


def test_a_writing_that_was_cut_off_is_not_there_and_is_not_in_the_way(tmp_path):
    _save(tmp_path, 10)
    aside = tmp_path / "checkpoints" / ".step_00000020"
    aside.mkdir()
    (aside / "state.pt").write_bytes(b"half")
    assert checkpoint.newest(tmp_path)["step"] == 10
    _save(tmp_path, 20)
    assert checkpoint.newest(tmp_path)["step"] == 20
    assert not aside.exists()


def test_if_all_are_damaged_it_is_an_error_with_the_remedy(tmp_path):
    _save(tmp_path, 10, 20)
    for step in (10, 20):
        _flip_a_byte(_folder(tmp_path, step) / "state.pt")
    with pytest.raises(ValueError, match=r"No checkpoint in .* verifies.*Remove that folder"):
        checkpoint.newest(tmp_path)


def test_a_retry_does_not_begin_anew_because_the_damaged_ones_were_set_aside(tmp_path):
    _save(tmp_path, 10)
    _flip_a_byte(_folder(tmp_path, 10) / "state.pt")
    for _ in range(2):
        with pytest.raises(ValueError, match="Remove that folder"):
            checkpoint.newest(tmp_path)
    checkpoint.remove(tmp_path)
    assert checkpoint.newest(tmp_path) is None


def test_a_step_that_is_saved_again_replaces_the_first(tmp_path):
    _save(tmp_path, 10)
    checkpoint.save(tmp_path, 10, {"step": 10, "weights": torch.zeros(2)})
    assert torch.equal(checkpoint.newest(tmp_path)["weights"], torch.zeros(2))
