"""`bloomery serve` beside llama.cpp's own server: time to the first token, and tokens a second.

`BLOOMERY_BENCH_MODEL=FOLDER BLOOMERY_BENCH_GGUF=FILE python -m tests.benchmarks serving`: one model
as an int8 export, and as a GGUF file, of 8 bits to be fair (`Q8_0`). The servers take turns, each
alone on the machine, and the client is a process of its own. Requests are of 128 random tokens and
64 answered; 4 come a second at fixed times (`BLOOMERY_BENCH_RATE`), then 8 clients ask as fast as
they are answered, then one. Ratios are of one turn: the median of all, and their range.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx

from tests.benchmarks.table import Row, say, show
from tests.benchmarks.work import Work, num_threads, num_turns

ROOT = Path(__file__).parents[2]
_NUMBER = 40  # requests at fixed times
_SLOTS = 8
_LLAMA = """
import sys, time
import xllamacpp
path, port, threads, slots = sys.argv[1:]
params = xllamacpp.CommonParams()
params.model.path, params.port = path, int(port)
params.n_parallel, params.n_ctx = int(slots), int(slots) * 512
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(threads)
params.cache_prompt, params.warmup = False, True
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
time.sleep(10**6)
"""


def run(work: Work) -> list[Row]:
    """Measure both servers in turns, show the table and return its rows."""
    named = [os.environ.get(f"BLOOMERY_BENCH_{name}", "") for name in ("MODEL", "GGUF")]
    if not all(named):
        say("serving is left out: it needs BLOOMERY_BENCH_MODEL and BLOOMERY_BENCH_GGUF")
        return []
    folder, file = (Path(name).resolve() for name in named)
    commands = {"bloomery": _bloomery, "llama.cpp": _llama}
    turns: list[dict[str, dict[str, float]]] = []
    for turn in range(num_turns()):
        found: dict[str, dict[str, float]] = {}
        for name in sorted(commands, reverse=turn % 2 == 1):
            source = folder if name == "bloomery" else file
            with _up(commands[name], source, work.out) as url:
                found[name] = _measured(url, turn)
        turns.append(found)
        say(json.dumps(found))
    rows = [_row(name, [turn[name] for turn in turns]) for name in commands]
    show(f"Serving {folder.name}: median of {len(turns)} turns", rows)
    for field, what in (
        ("first_p50", "median time to the first token"),
        ("first_p95", "95th percentile of it"),
        ("tokens_at_8", "tokens a second of 8 clients"),
        ("tokens_at_1", "tokens a second of one client"),
    ):
        ratios = [turn["bloomery"][field] / turn["llama.cpp"][field] for turn in turns]
        say(f"{what}, of llama.cpp's: {median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
    return rows


def _row(name: str, found: list[dict[str, float]]) -> Row:
    return {"server": name} | {
        field: round(median(each[field] for each in found), 3) for field in found[0]
    }


def _measured(url: str, turn: int) -> dict[str, float]:
    rate = os.environ.get("BLOOMERY_BENCH_RATE", "4")
    number = os.environ.get("BLOOMERY_BENCH_REQUESTS", str(_NUMBER))
    command = [sys.executable, "-m", "tests.benchmarks.load", url, "49000", rate, number, str(turn)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def _bloomery(folder: Path, port: int) -> list[str]:
    more = ["--port", str(port), "--slots", str(_SLOTS)]
    return ["-m", "flows.command.app", "serve", f"model={folder}", *more]


def _llama(file: Path, port: int) -> list[str]:
    return ["-c", _LLAMA, str(file), str(port), str(num_threads()), str(_SLOTS)]


@contextmanager
def _up(command, source: Path, out: Path) -> Iterator[str]:
    """Run a server, and yield its address when it answers."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    threads = {"BLOOMERY_NUM_THREADS": str(num_threads()), "BLOOMERY_HOME": str(out / "home")}
    environment = {**os.environ, **threads, "PYTHONPATH": str(ROOT)}
    with (out / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *command(source, port)], cwd=ROOT, env=environment,
            stdout=log, stderr=log,
        )  # fmt: skip
        try:
            _wait(url, process)
            yield url
        finally:
            process.terminate()
            process.wait(60)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"{url} does not answer")
