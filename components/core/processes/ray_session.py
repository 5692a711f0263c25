"""Ray for one step: its own on this machine, or a cluster's by address."""

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from components.core.processes import ray_cluster
from components.core.servers.access import is_loopback
from components.core.servers.endpoints import is_warm_head, ray_address
from components.core.settings import apply_environment, secret_variables, settings

_OBJECT_STORE_BYTES = 200 << 20  # data and weights go through files, not through the store
_TEMPORARY = Path("/tmp/bloomery-ray")


@contextmanager
def ray_session() -> Generator[None]:
    """Connect this driver process to Ray, and leave nothing behind.

    It goes before anything that imports ray, which reads its environment then.

    Raises:
        ValueError: there is a cluster's address, and the cluster is not fit for the work.
    """
    apply_environment()
    address = ray_address()
    if address == "local":
        write_token(Path(os.environ["RAY_AUTH_TOKEN_PATH"]))
        with _connected(
            address,
            num_cpus=max(settings().num_workers, settings().num_threads),
            include_dashboard=False,  # half the memory; Ray's own page comes with a real cluster
            object_store_memory=_OBJECT_STORE_BYTES,
            _temp_dir=str(_TEMPORARY.with_name(f"{_TEMPORARY.name}-{os.getuid()}")),
        ):
            yield
        return
    if os.environ.get("RAY_AUTH_TOKEN") or Path(os.environ["RAY_AUTH_TOKEN_PATH"]).exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # by itself Ray sends none to an address
    if is_warm_head(address):
        with _connected(address):
            yield
        return
    if not is_loopback(ray_cluster.parsed(address)[0]):
        os.environ.pop(ray_cluster.LOOPBACK_ALONE)  # its nodes are to reach this one
    with ray_cluster.member_of(address), _connected(address):
        ray_cluster.refuse_unfit_nodes(address)
        yield


@contextmanager
def _connected(address: str, **arguments: Any) -> Generator[None]:
    import ray
    from ray.exceptions import RayError

    try:
        ray.init(
            address=address,
            namespace="bloomery",
            log_to_driver=False,
            runtime_env={"env_vars": worker_environment()},
            **arguments,
        )
    except (RayError, ConnectionError, RuntimeError) as error:
        if address == "local":
            raise
        raise ray_cluster.explained(address, error) from error
    try:
        yield
    finally:
        ray.shutdown()


def warm_head_arguments(host: str, port: int) -> list[str]:
    """Return the arguments of `ray start` for a head of this machine, which stays until stopped."""
    write_token(settings().home.resolve() / "ray_token")
    num_cpus = max(settings().num_workers, settings().num_threads)
    return [
        *("--head", "--block", "--node-ip-address", host, "--port", str(port)),
        *("--num-cpus", str(num_cpus), "--object-store-memory", str(_OBJECT_STORE_BYTES)),
        *("--include-dashboard", "false", "--disable-usage-stats"),
        *("--min-worker-port", "0", "--max-worker-port", "0"),  # any: a range may hold `port`
        *("--temp-dir", str(_TEMPORARY.with_name(f"{_TEMPORARY.name}-{os.getuid()}"))),
    ]


def worker_environment() -> dict[str, str]:
    """Return the variables that make a worker see this machine's state as the driver does.

    No secret is among them: Ray writes them to its logs, and no worker needs a server.
    """
    named = {name for name in os.environ if name.startswith("BLOOMERY_")} - secret_variables()
    ours = {name: os.environ[name] for name in named}
    return {
        **ours,
        "BLOOMERY_HOME": str(settings().home.resolve()),
        "BLOOMERY_PROJECT": str(settings().project.resolve()),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }


def write_token(file: Path) -> None:
    """Make the cluster's secret unless there is one; Ray's own default file is readable by all."""
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    aside.touch(mode=0o600)
    aside.write_text(secrets.token_hex(32), encoding="utf-8")
    with suppress(FileExistsError):  # then another driver's holds
        os.link(aside, file)
    aside.unlink()
