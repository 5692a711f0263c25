"""A Ray cluster by address: this machine joins it, and what would fail later is said at once."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from components.core.processes.driver import die_with_parent
from components.core.settings import settings

LOOPBACK_ALONE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Ray's switch that keeps its ports on loopback when it is "0"; with it no node joins another."""
_CONNECT_SECONDS = 10.0
_JOIN_SECONDS = 60.0
_LOOK_SECONDS = 120.0  # a first worker of a node imports for some seconds
_LEAVE_SECONDS = 15.0
_ROOT = Path(__file__).resolve().parents[3]


class Seen(NamedTuple):
    """What one node of the cluster has."""

    node: str
    """Its address."""
    home: bool
    """Whether it sees the state of this machine."""
    project: bool
    """Whether it sees `data.dvc`."""
    code: str
    """sha256 of its `components/`, empty if it has none."""


def parsed(address: str) -> tuple[str, int]:
    """Return host and port of a cluster's address.

    Raises:
        ValueError: it is none, or one of Ray's client, whose driver trains nothing.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "://" in address:
        raise ValueError(
            f"BLOOMERY_RAY_ADDRESS={address} is neither `local`, `off` nor `host:port` of a Ray "
            "head (its port, 6379 if nobody chose another; not the one of ray:// or of http://)."
        )
    return host, int(port)


@contextmanager
def member_of(address: str) -> Generator[None]:
    """Make this machine a node of the cluster, without CPUs to give, unless it is one already.

    A driver talks to the Ray process of its own machine. Ray's client (`ray://`) would do without,
    but Ray Train does not support it.

    Raises:
        ValueError: nobody answers at the address, or the cluster does not take this machine.
    """
    host, port = parsed(address)
    try:
        ip = socket.gethostbyname(host)
        socket.create_connection((ip, port), _CONNECT_SECONDS).close()
    except OSError as error:
        raise ValueError(
            f"The Ray cluster BLOOMERY_RAY_ADDRESS={address} does not answer: {error}. Start it "
            "(`ray start --head`), mend the address, or use BLOOMERY_RAY_ADDRESS=local."
        ) from None
    if _has_node_of(ip, port):
        yield
        return
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        join = ["start", f"--address={ip}:{port}", "--num-cpus=0", "--num-gpus=0"]
        node = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", *join, "--block"],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if name != LOOPBACK_ALONE},
            preexec_fn=die_with_parent,
        )
        try:
            _wait_for_node(node, address, log)
            yield
        finally:
            node.terminate()
            try:
                node.wait(_LEAVE_SECONDS)
            except subprocess.TimeoutExpired:
                node.kill()
                node.wait()


def _has_node_of(ip: str, port: int) -> bool:
    """Return whether a Ray node of the cluster runs on this machine."""
    here = {each.address for found in psutil.net_if_addrs().values() for each in found}
    hosts = here if ip in here else {ip}  # Ray takes another of them for 127.0.0.1
    heads = {f"--gcs-address={host}:{port}" for host in hosts}
    for process in psutil.process_iter():
        try:
            if process.name() == "raylet" and heads.intersection(process.cmdline()):
                return True
        except psutil.Error:  # it ended meanwhile
            continue
    return False


def _wait_for_node(node: "subprocess.Popen[bytes]", address: str, log: Any) -> None:
    host, port = parsed(address)
    deadline = time.monotonic() + _JOIN_SECONDS
    while not _has_node_of(socket.gethostbyname(host), port):
        if node.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            raise ValueError(_reason(address, log.read()))
        time.sleep(0.2)


def explained(address: str, error: Exception) -> ValueError:
    """Return what a person can do about an error of connecting to a cluster."""
    said, seen = list[str](), error
    while seen is not None:
        said.append(f"{type(seen).__name__}: {seen}")
        seen = seen.__cause__ or seen.__context__  # type: ignore[assignment]
    return ValueError(_reason(address, "\n".join(said)))


def _reason(address: str, said: str) -> str:
    cluster = f"The Ray cluster {address}"
    if "uthenticat" in said or "token" in said:
        return (
            f"{cluster} does not take our token. Set RAY_AUTH_TOKEN_PATH to a file that holds the "
            "cluster's (on its head: `ray get-auth-token`), or copy it to "
            f"{settings().home.resolve() / 'ray_token'}."
        )
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if "ersion mismatch" in said:
        at = next(number for number, line in enumerate(lines) if "ersion mismatch" in line)
        return (
            f"{cluster} runs other versions: {' '.join(lines[at : at + 5])[:500]} "
            "Install what constraints.txt says on both sides."
        )
    return f"{cluster} does not let this machine in: {' '.join(lines[-3:])[-500:]}"


def refuse_unfit_nodes(address: str) -> None:
    """Make sure that work can run on every node of the cluster that this driver has joined.

    Raises:
        ValueError: there are fewer CPUs than workers, or a node does not see the files of this
            machine, or has other code.
    """
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    num_cpus, wanted = sum(node["Resources"]["CPU"] for node in nodes), settings().num_workers
    if num_cpus < wanted:
        raise ValueError(
            f"The Ray cluster {address} has {num_cpus:g} CPUs, and each of {wanted} workers takes "
            "one. Lower BLOOMERY_NUM_WORKERS, or add nodes."
        )
    (home := settings().home.resolve()).mkdir(parents=True, exist_ok=True)
    probe = home / f".seen-{uuid.uuid4().hex}"
    probe.touch()
    try:
        seen = _look(nodes, probe, settings().project.resolve())
    finally:
        probe.unlink()
    *_, code = _seen(str(probe), str(settings().project.resolve()))
    for each in seen:
        if remedy := _lack(each, code):
            raise ValueError(f"Node {each.node} of the Ray cluster {address} {remedy}")


def _lack(seen: Seen, code: str) -> str | None:
    if not seen.home:
        return (
            f"does not see {settings().home.resolve()}. Put BLOOMERY_HOME on storage that all "
            "nodes share, under one path."
        )
    if not seen.project:
        return (
            f"does not see {settings().project.resolve() / 'data.dvc'}. Put BLOOMERY_PROJECT on "
            "storage that all nodes share, under one path."
        )
    if seen.code != code:
        what = "has other code in" if seen.code else "has no"
        return f"{what} {_ROOT / 'components'}. Install the revision of this machine there."
    return None


def _look(nodes: list[dict[str, Any]], probe: Path, project: Path) -> list[Seen]:
    """Ask each node what it has."""
    import ray
    from ray import cloudpickle
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)  # a node that needs the remedy cannot import it
    try:
        look = ray.remote(num_cpus=0, max_retries=1)(_seen)
        asked = [
            look.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(str(probe), str(project))
            for node in nodes
        ]
        found = ray.get(asked, timeout=_LOOK_SECONDS)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    names = [node["NodeManagerAddress"] for node in nodes]
    return [Seen(name, *each) for name, each in zip(names, found, strict=True)]


def _seen(probe: str, project: str) -> tuple[bool, bool, str]:
    """Return what a node sees; Ray sends this function whole, so it names nothing outside."""
    import hashlib
    import importlib.util
    from pathlib import Path

    digest, spec = hashlib.sha256(), importlib.util.find_spec("components")
    code = ""
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent
        for file in sorted(folder.rglob("*.py")):
            digest.update(f"{file.relative_to(folder)}\n".encode() + file.read_bytes())
        code = digest.hexdigest()
    return Path(probe).exists(), (Path(project) / "data.dvc").exists(), code
