"""Checkpoints: whole or absent, newest first, and never trusted when damaged."""

import logging
import resource
import shutil
import threading

import pytest
import torch

from components.core.lease import Lease, LeaseLost
from components.lib.group import Group
from components.lib.training.checkpoint import Checkpoints

ALONE = Group(0, 1)


def state_of(value: float) -> dict:
    return {"model": {"weights": torch.full((1000,), value)}, "optimizers": {"steps": value}}


def checkpoints(out, **options) -> Checkpoints:
    return Checkpoints(out, ALONE, **options)


def save(out, *steps, **options):
    saved = checkpoints(out, **options)
    for step in steps:
        saved.save(step, state_of(float(step)), {"position": {"step": step, "seconds": 0.1 * step}})
    saved.wait()


def newest(out):
    """Return the step of the newest checkpoint, whose tensors are checked."""
    restored = checkpoints(out).restore(lambda _: state_of(-1.0))
    if restored is None:
        return None
    state, manifest = restored
    step = manifest["step"]
    assert torch.equal(state["model"]["weights"], torch.full((1000,), float(step)))
    assert state["optimizers"]["steps"] == step
    assert manifest["position"] == {"step": step, "seconds": 0.1 * step}
    return step


def folder(out, step):
    return out / "checkpoints" / f"step_{step:08d}"


def flip(file, place, bits=1):
    content = bytearray(file.read_bytes())
    content[int(place * (len(content) - 1))] ^= bits
    file.write_bytes(content)


def cut(file):
    file.write_bytes(file.read_bytes()[:-10])


DAMAGES = {
    "a bit of the first byte": lambda file: flip(file, 0.0),
    "a bit in the middle": lambda file: flip(file, 0.5),
    "a high bit in the middle": lambda file: flip(file, 0.5, 0x80),
    "a bit near the end": lambda file: flip(file, 0.95),
    "deleted": lambda file: file.unlink(),
    "emptied": lambda file: file.write_text(""),
    "truncated": cut,
}


def test_a_run_that_never_saved_has_none(tmp_path):
    assert newest(tmp_path) is None
    assert checkpoints(tmp_path).restore(lambda _: pytest.fail("nothing to load into")) is None


def test_what_was_saved_comes_back_with_what_was_told_about_it(tmp_path):
    wanted = {
        "model": {"w": torch.randn(4, 4), "half": torch.randn(5).bfloat16()},
        "optimizers": {"w": {"exp_avg": torch.randn(4, 4), "step": torch.tensor(7.0)}, "lr": 0.1},
    }
    saved = checkpoints(tmp_path)
    about = {"position": {"history": [(1 / 3, 0.1)]}, "recipe": "abc"}
    saved.save(3, wanted, about)
    empty = {
        "model": {"w": torch.zeros(4, 4), "half": torch.zeros(5).bfloat16()},
        "optimizers": {"w": {"exp_avg": torch.zeros(4, 4), "step": torch.tensor(0.0)}, "lr": 0.0},
    }
    found, manifest = saved.restore(lambda _: empty)
    for name, value in wanted["model"].items():
        assert torch.equal(found["model"][name], value), name
    for name, value in wanted["optimizers"]["w"].items():
        assert torch.equal(found["optimizers"]["w"][name], value), name
    assert found["optimizers"]["lr"] == 0.1
    assert manifest["position"] == {"history": [[1 / 3, 0.1]]}
    assert (manifest["recipe"], manifest["step"], manifest["world_size"]) == ("abc", 3, 1)


def test_the_newest_is_used_and_only_two_are_kept(tmp_path):
    save(tmp_path, 5, 10, 100, 20_000)
    assert newest(tmp_path) == 20_000
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step_00000100", "step_00020000"]


def test_milestones_are_kept_also_when_the_training_is_finished(tmp_path):
    save(tmp_path, *range(5, 60, 5), milestone_every=20)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == [f"step_{step:08d}" for step in (20, 40, 50, 55)]
    checkpoints(tmp_path, milestone_every=20).remove()
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step_00000020", "step_00000040"]


def test_a_finished_training_leaves_nothing(tmp_path):
    save(tmp_path, 5, 10)
    (tmp_path / "checkpoints" / ".step_00000015").mkdir()
    checkpoints(tmp_path).remove()
    assert not list(tmp_path.iterdir())
    checkpoints(tmp_path).remove()


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", [".metadata", "__0_0.distcp", "manifest.json"])
def test_a_damaged_one_is_set_aside_and_the_one_before_is_used(tmp_path, caplog, file, damage):
    save(tmp_path, 10, 20)
    assert sorted(path.name for path in folder(tmp_path, 20).iterdir()) == [
        ".metadata",
        "__0_0.distcp",
        "manifest.json",
    ]
    DAMAGES[damage](folder(tmp_path, 20) / file)
    with caplog.at_level(logging.WARNING):
        assert newest(tmp_path) == 10
    assert "step_00000020 is damaged" in caplog.text
    assert not folder(tmp_path, 20).exists()
    assert (tmp_path / "checkpoints" / "damaged_step_00000020").exists()
    assert newest(tmp_path) == 10


@pytest.mark.parametrize("other", ["true", "[]", "{}", '{"proof": 1, "files": {}}', "null"])
def test_a_manifest_that_says_something_else_proves_nothing(tmp_path, other):
    save(tmp_path, 10, 20)
    (folder(tmp_path, 20) / "manifest.json").write_text(other)
    assert newest(tmp_path) == 10


def test_another_step_in_the_manifest_is_noticed(tmp_path):
    """What it tells about the position is proved as the tensors are."""
    save(tmp_path, 10, 20)
    manifest = folder(tmp_path, 20) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"step": 20', '"step": 21'))
    assert newest(tmp_path) == 10


def test_a_file_that_does_not_belong_there_is_noticed(tmp_path):
    save(tmp_path, 10, 20)
    shutil.copy(folder(tmp_path, 10) / "__0_0.distcp", folder(tmp_path, 20) / "__1_0.distcp")
    assert newest(tmp_path) == 10


def test_a_writing_that_was_cut_off_is_not_there_and_is_not_in_the_way(tmp_path):
    save(tmp_path, 10)
    aside = tmp_path / "checkpoints" / ".step_00000020"
    aside.mkdir()
    (aside / "__0_0.distcp").write_bytes(b"half")
    (aside / "__1_0.distcp").write_bytes(b"of a group of two")
    assert newest(tmp_path) == 10
    save(tmp_path, 20)
    assert newest(tmp_path) == 20
    assert not aside.exists()


def test_if_all_are_damaged_it_is_an_error_with_the_remedy_and_no_silent_restart(tmp_path):
    save(tmp_path, 10, 20)
    for step in (10, 20):
        flip(folder(tmp_path, step) / "__0_0.distcp", 0.5)
    for _ in range(2):  # a retry does not begin anew because the damaged ones were set aside
        with pytest.raises(ValueError, match=r"No checkpoint in .* verifies.*Remove that folder"):
            newest(tmp_path)
    checkpoints(tmp_path).remove()
    assert newest(tmp_path) is None


def test_a_step_that_is_saved_again_replaces_the_first(tmp_path):
    save(tmp_path, 10)
    saved = checkpoints(tmp_path)
    saved.save(10, state_of(0.0), {})
    found, _ = saved.restore(lambda _: state_of(-1.0))
    assert torch.equal(found["model"]["weights"], torch.zeros(1000))


def test_what_is_written_behind_is_the_state_at_the_call(tmp_path):
    """The next step changes the weights in place, while they are written."""
    state = {"model": {f"w{i}": torch.full((300_000,), 10.0) for i in range(20)}}
    saved = checkpoints(tmp_path)
    saved.save(10, state, {})
    for tensor in state["model"].values():
        tensor.fill_(-1.0)
    empty = {"model": {f"w{i}": torch.zeros(300_000) for i in range(20)}}
    found, _ = saved.restore(lambda _: empty)
    assert all(bool((tensor == 10.0).all()) for tensor in found["model"].values())


def test_the_training_goes_on_while_it_is_written(tmp_path):
    gate = threading.Event()
    saved = checkpoints(tmp_path)
    saved._thread.submit(gate.wait, 30)
    saved.save(10, state_of(10.0), {"position": {"step": 10, "seconds": 1.0}})
    assert not folder(tmp_path, 10).exists()
    gate.set()
    saved.wait()
    assert newest(tmp_path) == 10


def test_who_may_no_longer_write_commits_nothing_and_leaves_the_last_good_one(tmp_path):
    with Lease.take(tmp_path, "a") as lease:
        saved = checkpoints(tmp_path, lease=lease)
        saved.save(10, state_of(10.0), {"position": {"step": 10, "seconds": 1.0}})
        saved.wait()
    with Lease.take(tmp_path, "b") as other:
        assert other.number == lease.number + 1
        saved.save(20, state_of(20.0), {})
        with pytest.raises(LeaseLost, match="taken over"):
            saved.wait()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step_00000010"]
    assert newest(tmp_path) == 10


@pytest.fixture
def small_files():
    """Files may not grow beyond 2,000 bytes until `lift` is called."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))

    def lift():
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    yield lift
    lift()


def test_what_went_wrong_with_one_is_raised_at_the_next_and_once(tmp_path, small_files):
    saved = checkpoints(tmp_path)
    saved.save(10, state_of(10.0), {})
    with pytest.raises(OSError, match="File too large"):
        saved.save(20, state_of(20.0), {})
    small_files()
    assert not list((tmp_path / "checkpoints").iterdir())
    saved.save(20, state_of(20.0), {"position": {"step": 20, "seconds": 2.0}})
    saved.wait()
    assert newest(tmp_path) == 20


def test_closed_what_was_being_written_is_whole_and_what_fails_is_told(
    tmp_path, small_files, caplog
):
    saved = checkpoints(tmp_path)
    saved.save(10, state_of(10.0), {})
    saved.close()
    assert "the last checkpoint could not be written" in caplog.text
    small_files()
    saved = checkpoints(tmp_path)
    saved.save(20, state_of(20.0), {"position": {"step": 20, "seconds": 2.0}})
    saved.close()
    assert newest(tmp_path) == 20
