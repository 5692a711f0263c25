"""A cluster by its address: joined where it is fit, refused with the remedy where it is not."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.core.processes.call import Call
from components.core.processes.driver import run_in_driver
from components.core.settings import settings
from tests.ray_nodes import Cluster, cluster

ROOT = Path(__file__).parents[4]
HERE = "tests.components.core.processes.test_ray_cluster"


# What the driver runs. It imports this module by name.


def note_nodes(payload: dict[str, str]) -> None:
    """Write how many CPUs each node of the cluster has."""
    from components.core.processes.ray_session import ray_session

    with ray_session():
        import ray

        alive = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
        Path(payload["file"]).write_text(json.dumps(sorted(alive)), encoding="utf-8")


def connect(file: Path) -> list[float]:
    run_in_driver(Call(target=f"{HERE}:note_nodes", payload={"file": str(file)}))
    return json.loads(file.read_text("utf-8"))


@pytest.fixture
def at(monkeypatch):
    """Set the address of the cluster."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)

    def point(address: str, **variables: str) -> None:
        monkeypatch.setenv("BLOOMERY_RAY_ADDRESS", address)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()

    return point


@pytest.fixture(scope="module")
def nodes(tmp_path_factory) -> Iterator[Cluster]:
    pytest.importorskip("ray")
    with cluster(tmp_path_factory.mktemp("nodes")) as found:
        yield found


@pytest.mark.ray
@pytest.mark.parametrize("address", ["ray://head:10001", "http://head:8265", "head", ":6379"])
def test_what_is_no_address_of_a_head_is_refused(at, address, tmp_path):
    at(address)
    with pytest.raises(ValueError, match=r"neither `local`, `off` nor `host:port`"):
        connect(tmp_path / "file")


@pytest.mark.ray
def test_a_cluster_that_nobody_started_is_named(at, tmp_path):
    at("127.0.0.1:1")
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:1 does not answer.*`ray start --head`"):
        connect(tmp_path / "file")


@pytest.mark.ray
@pytest.mark.slow
class TestCluster:
    def test_a_machine_that_is_a_node_connects(self, at, nodes, tmp_path):
        at(nodes.address, RAY_AUTH_TOKEN_PATH=str(nodes.token))
        assert connect(tmp_path / "file") == [1, 1]

    def test_another_machine_joins_without_cpus_and_leaves(self, at, nodes, tmp_path):
        """A namespace that sees no process of the cluster stands for the other machine."""
        at(nodes.address, RAY_AUTH_TOKEN_PATH=str(nodes.token))
        call = f"from {HERE} import note_nodes; note_nodes({{'file': {str(tmp_path / 'file')!r}}})"
        apart = apart_or_skip("--pid", "--fork", "--mount-proc")
        subprocess.run([*apart, sys.executable, "-c", call], cwd=ROOT, check=True, timeout=120)
        assert json.loads((tmp_path / "file").read_text("utf-8")) == [0, 1, 1]
        assert connect(tmp_path / "file") == [1, 1]

    def test_another_token_is_refused_with_the_place_for_the_right_one(self, at, nodes, tmp_path):
        (tmp_path / "token").write_text("f" * 64, encoding="utf-8")
        at(nodes.address, RAY_AUTH_TOKEN_PATH=str(tmp_path / "token"))
        with pytest.raises(ValueError, match=r"does not take our token.*RAY_AUTH_TOKEN_PATH"):
            connect(tmp_path / "file")

    def test_no_token_is_refused_likewise(self, at, nodes, tmp_path):
        at(nodes.address)
        with pytest.raises(ValueError, match=r"does not take our token.*RAY_AUTH_TOKEN_PATH"):
            connect(tmp_path / "file")

    def test_more_workers_than_cpus_are_refused_instead_of_waiting(self, at, nodes, tmp_path):
        at(nodes.address, RAY_AUTH_TOKEN_PATH=str(nodes.token), BLOOMERY_NUM_WORKERS="3")
        with pytest.raises(ValueError, match=r"has 2 CPUs.*3 workers.*BLOOMERY_NUM_WORKERS"):
            connect(tmp_path / "file")


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize(
    ("hidden", "remedy"),
    [("home", "does not see .*BLOOMERY_HOME"), ("components", "has no .*components. Install")],
)
def test_a_node_without_our_files_is_refused(at, home, tmp_path, hidden, remedy):
    home.mkdir()
    folder = home if hidden == "home" else ROOT / "components"
    hide = ["sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(folder)]
    with cluster(tmp_path, last_under=[*apart_or_skip("--mount"), *hide]) as nodes:
        at(nodes.address, RAY_AUTH_TOKEN_PATH=str(nodes.token))
        with pytest.raises(ValueError, match=rf"Node [\d.]+ of the Ray cluster .* {remedy}"):
            connect(tmp_path / "file")


def apart_or_skip(*namespaces: str) -> list[str]:
    """Return the command that runs another in namespaces of its own."""
    command = ["unshare", *namespaces]
    if os.geteuid() != 0 or subprocess.run([*command, "true"], check=False).returncode != 0:
        pytest.skip("Namespaces are not for everybody here.")
    return command
