"""The settings of a machine: read from the environment, refused and warned of in sentences."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.request import proxy_bypass

import pytest

from components.core.settings import (
    Settings,
    apply_environment,
    quiet_environment,
    secret_variables,
    settings,
)

ROOT = Path(__file__).parents[3]


@pytest.fixture
def given(monkeypatch):
    """Return a function that sets a setting."""

    def give(name: str, value: str) -> None:
        monkeypatch.setenv(f"BLOOMERY_{name}", value)
        settings.cache_clear()

    return give


def test_each_setting_is_read_from_its_variable_as_its_type(given, tmp_path):
    given("HOME", str(tmp_path))
    given("PREFECT_PORT", "4301")
    given("COMPILE", "true")
    given("DATA_PARALLEL", "shard")
    given("EXPERIMENT", "7")
    found = settings()
    assert (found.home, found.prefect_port) == (tmp_path, 4301)
    assert (found.compile, found.data_parallel, found.experiment) == (True, "shard", "7")
    assert found.mlflow_port == 5000


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PREFECT_PORT", "abc", "BLOOMERY_PREFECT_PORT=abc is not valid: .*valid integer"),
        ("PREFECT_PORT", "70000", "BLOOMERY_PREFECT_PORT=70000 is not valid: .*65535"),
        ("NUM_WORKERS", "0", "BLOOMERY_NUM_WORKERS=0 is not valid: .*equal to 1"),
        ("DATA_PARALLEL", "ddp", "BLOOMERY_DATA_PARALLEL=ddp is not valid: .*'replicate' or"),
    ],
)
def test_a_value_that_is_not_valid_is_one_sentence_with_its_variable(given, name, value, says):
    given(name, value)
    with pytest.raises(ValueError, match=says) as error:
        settings()
    assert "\n" not in str(error.value)
    assert "Set another value, or unset it." in str(error.value)


def test_every_value_that_is_not_valid_is_named_at_once(given):
    given("PREFECT_PORT", "abc")
    given("COMPILE", "maybe")
    with pytest.raises(ValueError, match=r"COMPILE=maybe .* BLOOMERY_PREFECT_PORT=abc "):
        settings()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("BLOOMERY_PREFECT_PROT", "BLOOMERY_PREFECT_PORT"),
        ("BLOOMERY_PREFECTPORT", "BLOOMERY_PREFECT_PORT"),
        ("bloomery_mlflow_prot", "BLOOMERY_MLFLOW_PORT"),
        ("BLOOMERY_HOMES", "BLOOMERY_HOME"),
        ("BLOOMERY_THREADS", "BLOOMERY_NUM_THREADS"),
        ("BLOOMERY_RAY_ADRESS", "BLOOMERY_RAY_ADDRESS"),
        ("BLOOMRY_HOME", "BLOOMERY_HOME"),
        ("BLOOMERYHOME", "BLOOMERY_HOME"),
    ],
)
def test_a_variable_that_is_nearly_a_setting_is_refused_with_its_name(
    given, monkeypatch, name, nearest
):
    monkeypatch.setenv(name, "4301")
    settings.cache_clear()
    with pytest.raises(ValueError) as error:
        settings()
    assert str(error.value) == f"{name} is no setting: {nearest} is. Correct it, or unset it."
    given("COMPILE", "maybe")
    with pytest.raises(ValueError, match=f"{nearest} is.* BLOOMERY_COMPILE=maybe is not valid"):
        settings()


def test_a_variable_that_is_far_from_every_setting_is_warned_of_once(given, caplog):
    given("COLOUR_OF_THE_BARN", "red")
    assert settings().prefect_port == 4200
    [warning] = caplog.messages
    assert warning.startswith("BLOOMERY_COLOUR_OF_THE_BARN is no setting and changes nothing.")
    assert "The nearest: BLOOMERY_" in warning
    settings()
    assert len(caplog.messages) == 1, "once a process is enough"


def test_variables_of_other_programs_are_let_alone_and_settings_may_be_written_small(
    given, monkeypatch, caplog
):
    for name in ("BLOOM_FILTER_SIZE", "BLOCK_HOME", "BLOB_HOME", "BLOOMERS"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("bloomery_prefect_port", "4302")
    settings.cache_clear()
    assert settings().prefect_port == 4302
    assert caplog.messages == []


def test_variables_of_ours_that_are_no_settings_are_not_warned_of(given, caplog):
    for name in ("SECRET_DB", "OWNER", "STACK", "BENCH_SECONDS"):
        given(name, "x")
    settings()
    assert caplog.messages == []


def test_secrets_are_shown_neither_by_the_settings_nor_by_their_errors(given):
    given("AUTH", "gardener:canary-71d2")
    assert "canary" not in repr(settings())
    given("NUM_THREADS", "none")
    with pytest.raises(ValueError, match="BLOOMERY_NUM_THREADS=none") as error:
        settings()
    assert "canary" not in str(error.value)
    assert secret_variables() == {
        "BLOOMERY_AUTH",
        "BLOOMERY_PREFECT_DATABASE",
        "BLOOMERY_MLFLOW_DATABASE",
    }


def test_settings_cannot_change_while_a_process_runs():
    with pytest.raises(ValueError, match="frozen"):
        settings().prefect_port = 1
    assert settings() is settings()
    assert settings() == Settings()


def test_the_command_line_says_a_wrong_setting_in_a_line_and_shows_no_traceback(tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "BLOOMERY_HOME": str(tmp_path),
        "BLOOMERY_PREFECT_PORT": "abc",
    }
    command = [sys.executable, "-m", "flows.command.app", "status"]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("Error: BLOOMERY_PREFECT_PORT=abc is not valid: ")


@pytest.mark.parametrize("given", ["", "lab.example,10.0.0.0/8"], ids=["none", "some"])
def test_a_proxy_is_never_asked_for_this_machines_own_servers(given, monkeypatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, given)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in quiet_environment():
        monkeypatch.setenv(name, os.environ.get(name, "unset"))  # what is set here is taken back
    apply_environment()
    apply_environment()
    for host in ("127.0.0.1", "localhost"):
        assert proxy_bypass(host)
        assert not proxies_of_requests(f"http://{host}:4200/api")
    assert not proxy_bypass("example.org")
    words = os.environ["NO_PROXY"].split(",")
    assert words[: len(given.split(","))] == given.split(",") or not given
    assert len(words) == len(set(words))


def proxies_of_requests(url: str) -> dict[str, str]:
    """Return the proxies that httpx and requests, Prefect's and MLflow's clients, would take."""
    import requests.utils

    return requests.utils.get_environ_proxies(url)
