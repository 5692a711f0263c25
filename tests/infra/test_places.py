"""The stack with its state elsewhere: PostgreSQL behind both servers, S3 behind every file."""

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows.recipes import smoke
from tests import small_project
from tests.infra.stacks import Stack, ask_once, end, environment, fetch, ready, until, up
from tests.places import PASSWORD, postgres, s3, s3_client

pytestmark = [pytest.mark.slow, pytest.mark.prove]

_SECRETS = re.compile(f"{PASSWORD}|canary-s3-8b1d".encode())


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a machine that keeps nothing itself."""
    folder = tmp_path_factory.mktemp("places")
    with postgres("prefect", "mlflow") as server, s3("garden") as keys:
        yield environment(
            folder / "home",
            BLOOMERY_PROJECT=str(small_project.make_to_run(folder / "project")),
            BLOOMERY_PREFECT_DATABASE=f"{server}/prefect",
            BLOOMERY_MLFLOW_DATABASE=f"{server}/mlflow",
            BLOOMERY_MLFLOW_ARTIFACTS="s3://garden/mlflow",
            BLOOMERY_DVC_REMOTE="s3://garden/dvc",
            BLOOMERY_ARTIFACT_STORE="s3://garden/artifacts",
            **keys,
        )


@pytest.fixture(scope="module")
def stack(variables: dict[str, str]) -> Iterator[Stack]:
    started = ready(variables)
    yield started
    end(started)


@pytest.fixture(scope="module")
def done(stack: Stack) -> str:
    """A run of the data steps, triggered as people do."""
    said = stack.command("trigger", "data", "--recipe", "smoke", "--wait", "--json")
    assert said.returncode == 0, said.stdout + said.stderr
    return re.search(r'"id": "([0-9a-f-]+)"', said.stdout)[1]  # pyright: ignore


def _bucket(variables: dict[str, str]) -> list[str]:
    with closing(s3_client(variables)) as client:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket="garden")
        return [row["Key"] for page in pages for row in page.get("Contents", [])]


def _rows(variables: dict[str, str], database: str, query: str) -> list[Any]:
    import psycopg

    with psycopg.connect(variables[f"BLOOMERY_{database}_DATABASE"]) as connection:
        return connection.execute(query).fetchall()


def test_runs_are_rows_of_postgres_and_files_are_objects_of_the_bucket(
    stack: Stack, done: str
) -> None:
    states = _rows(stack.environment, "PREFECT", "SELECT id::text, state_type FROM flow_run")
    assert (done, "COMPLETED") in states
    until(lambda: _rows(stack.environment, "MLFLOW", "SELECT 1 FROM runs"), 30)
    keys = _bucket(stack.environment)
    for pattern in (
        r"artifacts/data\.tokenize/[\d.]+/\w+/artifact\.json",
        r"artifacts/data\.tokenize/[\d.]+/\w+/train/shard_00000\.npy",
        r"mlflow/\w+/artifacts/report/card\.html",
    ):
        assert any(re.fullmatch(pattern, key) for key in keys), pattern
    for name in ("prefect/prefect.db", "mlflow/mlflow.db", "mlflow/artifacts", "dvc-remote"):
        assert not (stack.home / name).exists(), name


def test_another_machine_takes_what_is_in_the_bucket_and_makes_nothing(
    stack: Stack, done: str, tmp_path: Path
) -> None:
    other = {**stack.environment, "BLOOMERY_HOME": str(tmp_path / "home")}
    other["BLOOMERY_PROJECT"] = str(small_project.make_to_run(tmp_path / "project"))
    again = stack._replace(environment=other).command("run", "data", "--recipe", "smoke")
    assert again.returncode == 0, again.stdout + again.stderr
    (journal,) = (tmp_path / "home" / "runs").glob("*/steps.jsonl")
    steps = journal.read_text("utf-8")
    assert '"cached":true' in steps
    assert '"cached":false' not in steps


def test_a_revision_of_the_data_goes_to_the_bucket_and_comes_back_from_it_alone(
    stack: Stack, tmp_path: Path
) -> None:
    letters = tmp_path / "letters.txt"
    letters.write_text("Dear gardener, the roses are sick. " * 20, encoding="utf-8")
    added = stack.command("data", "add", "letters", str(letters))
    assert added.returncode == 0, added.stdout + added.stderr
    assert any(key.startswith("dvc/files/md5/") for key in _bucket(stack.environment))
    project = Path(stack.environment["BLOOMERY_PROJECT"])
    revision = re.findall(r"[0-9a-f]{32}\.dir", (project / "data.dvc").read_text("utf-8"))[0]
    shutil.rmtree(stack.home / "dvc-cache")
    restored = stack.command("data", "restore", revision, "--to", str(tmp_path / "old"))
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert "roses are sick" in (tmp_path / "old" / "letters" / "documents.jsonl").read_text("utf-8")


def test_of_a_hundred_calls_at_once_postgres_loses_none(stack: Stack) -> None:
    assert stack.call("/work_pools/bloomery", {"is_paused": True}, "PATCH")[0] == 204
    url = f"{stack.prefect}/api/deployments/{stack.deployment('data')['id']}/create_flow_run"
    body = {"parameters": {"recipe": smoke().model_dump(mode="json")}}
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: ask_once(url, body), range(100)))
    assert {status for status, _ in answers} == {201}
    assert len({run["id"] for _, run in answers}) == 100
    for _, run in answers:
        stack.call(f"/flow_runs/{run['id']}", method="DELETE")


def test_no_key_or_password_is_written_or_shown(stack: Stack, done: str) -> None:
    files = [file for file in stack.home.rglob("*") if file.is_file()]
    assert files
    assert [file for file in files if _SECRETS.search(file.read_bytes())] == []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        assert not _SECRETS.search(line.encode())
    params = "SELECT key, value FROM params UNION ALL SELECT key, value FROM tags"
    assert not _SECRETS.search(repr(_rows(stack.environment, "MLFLOW", params)).encode())
    shown = stack.command("doctor")
    assert shown.returncode == 0
    assert "gardener:***@127.0.0.1" in shown.stdout
    assert "s3://garden/artifacts" in shown.stdout
    assert not _SECRETS.search(shown.stdout.encode())


def test_a_machine_that_starts_anew_finds_the_runs_of_the_one_before(
    stack: Stack, done: str, tmp_path: Path
) -> None:
    assert stack.command("down").returncode == 0
    again = ready({**stack.environment, **environment(tmp_path / "home")})
    try:
        assert again.state(done) == "COMPLETED"
        query = {"experiment_ids": ["1"], "filter": f"tags.flow_run_id = '{done}'"}
        found = fetch(f"{again.mlflow}/api/2.0/mlflow/runs/search", query)[1]
        assert found["runs"]
    finally:
        end(again)


def test_a_database_that_is_not_there_stops_the_start_with_one_line(
    variables: dict[str, str], tmp_path: Path
) -> None:
    wrong = environment(
        tmp_path / "home", BLOOMERY_MLFLOW_DATABASE="postgresql://a:b@127.0.0.1:1/c"
    )
    process = up(wrong)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "BLOOMERY_MLFLOW_DATABASE=postgresql+psycopg://a:***@127.0.0.1:1/c" in said
    assert "Traceback" not in said
