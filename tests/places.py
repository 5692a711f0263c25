"""A real PostgreSQL and an S3 server of one test session, on ports of their own."""

import logging
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "canary-pg-51c2e7"
_KEYS = {"AWS_ACCESS_KEY_ID": "canary", "AWS_SECRET_ACCESS_KEY": "canary-s3-8b1d"}


@contextmanager
def postgres(*databases: str) -> Generator[str]:
    """Run a server with these databases; gives its URL without the name of one."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        pytest.skip("There is no PostgreSQL (apt install postgresql).")
    owner = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="bloomery-postgres-"))
    (secret := folder / "password").write_text(PASSWORD, encoding="utf-8")
    if owner:
        for each in (folder, secret):
            shutil.chown(each, "postgres", "postgres")
    data, port = folder / "data", free_port()
    make = [found[-1] / "initdb", "-D", data, "-U", "gardener", f"--pwfile={secret}"]
    make += ["-A", "scram-sha-256", "--no-sync"]
    subprocess.run(make, check=True, capture_output=True, cwd=folder, **owner)
    command = [found[-1] / "postgres", "-D", data, "-p", str(port), "-c", "fsync=off"]
    command += ["-h", "127.0.0.1", "-k", folder]
    server = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL, **owner)
    try:
        url = f"postgresql://gardener:{PASSWORD}@127.0.0.1:{port}"
        _create(url, databases)
        yield url
    finally:
        server.terminate()
        server.wait(60)
        shutil.rmtree(folder)


def _create(url: str, databases: tuple[str, ...]) -> None:
    import psycopg

    deadline = time.monotonic() + 60
    while True:
        try:
            connection = psycopg.connect(f"{url}/postgres", autocommit=True)
            break
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    with connection:
        for name in databases:
            connection.execute(f"CREATE DATABASE {name}")


@contextmanager
def s3(bucket: str) -> Generator[dict[str, str]]:
    """Run an S3 server with one bucket; gives the variables by which clients find it."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", free_port())
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for each request
    server.start()
    host, port = server.get_host_and_port()
    keys = {**_KEYS, "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_DEFAULT_REGION": "us-east-1"}
    try:
        with closing(s3_client(keys)) as client:
            client.create_bucket(Bucket=bucket)
        yield keys
    finally:
        server.stop()


def s3_client(keys: dict[str, str]) -> Any:
    """Return a client of the server that these variables name."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=keys["AWS_ENDPOINT_URL"],
        region_name=keys["AWS_DEFAULT_REGION"],
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
    )


def free_port() -> int:
    """Return a port of this machine that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
