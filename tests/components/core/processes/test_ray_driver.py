"""A driver with Ray that serves several calls, fails alone and leaves nothing behind."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from components.core.processes.preemption import Preempted
from components.core.processes.ray_driver import kept_ray, run_on_ray
from components.core.settings import settings

ROOT = Path(__file__).parents[4]

pytestmark = [pytest.mark.ray, pytest.mark.slow]


# What the driver runs. It imports this module by name.


def note(payload: dict[str, str]) -> None:
    import ray

    assert ray.is_initialized()
    aside = Path(f"{payload['file']}.part")
    aside.write_text(str(os.getpid()), encoding="utf-8")
    aside.replace(payload["file"])


def refuse(payload: dict[str, str]) -> None:
    raise ValueError(payload["text"])


def leave(payload: dict[str, str]) -> None:
    raise Preempted(12)


def break_down(payload: dict[str, str]) -> None:
    raise KeyError(payload["text"])


def linger(payload: dict[str, str]) -> None:
    note(payload)
    time.sleep(120)


def die(payload: dict[str, str]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(autouse=True)
def on_ray(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("BLOOMERY_RAY_ADDRESS", "local")
    settings.cache_clear()


def target(function) -> str:
    return f"{__name__}:{function.__name__}"


def driver_of(file: Path) -> psutil.Process:
    """Return the process of the driver that has written its id."""
    return psutil.Process(int(file.read_text("utf-8")))


def test_the_calls_of_a_block_share_a_driver_until_it_dies_and_none_is_left(tmp_path):
    first, second, third, fourth = (tmp_path / str(number) for number in range(4))
    with kept_ray():
        run_on_ray(target(note), {"file": str(first)})
        with pytest.raises(ValueError, match=r"^Lower it: 3 < 4$"):
            run_on_ray(target(refuse), {"text": "Lower it: 3 < 4"})
        with pytest.raises(Preempted, match=r"^Preempted after step 12\."):
            run_on_ray(target(leave), {})
        run_on_ray(target(note), {"file": str(second)})
        assert driver_of(first) == driver_of(second)
        with pytest.raises(RuntimeError, match="SIGKILL"):
            run_on_ray(target(die), {})
        run_on_ray(target(note), {"file": str(third)})
        driver = driver_of(third)
        assert driver.pid != int(first.read_text("utf-8"))
        with pytest.raises(RuntimeError, match="KeyError: 'the reason'"):
            run_on_ray(target(break_down), {"text": "the reason"})
        assert not driver.is_running(), "its Ray may be broken"
        run_on_ray(target(note), {"file": str(fourth)})
        driver = driver_of(fourth)
        processes = [driver, *driver.children(recursive=True)]
        assert len(processes) > 2, "where is Ray?"
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []


def test_an_error_while_the_driver_works_stops_it_at_once(tmp_path):
    file, processes = tmp_path / "pid", list[psutil.Process]()

    def interrupt(signum: int, frame: object) -> None:
        if file.exists():
            signal.setitimer(signal.ITIMER_REAL, 0)
            driver = driver_of(file)
            processes.extend([driver, *driver.children(recursive=True)])
            raise TimeoutError("stop")

    old = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
    try:
        with pytest.raises(TimeoutError, match="stop"), kept_ray():
            run_on_ray(target(linger), {"file": str(file)})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert len(processes) > 2, "where is Ray?"
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert alive == []
