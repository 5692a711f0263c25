import os

import pytest

from components.core.processes.ray_session import warm_head_arguments, worker_environment
from components.core.settings import settings


def test_workers_get_the_settings_and_not_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOOMERY_AUTH", "gardener:a-long-password")
    monkeypatch.setenv("BLOOMERY_NUM_THREADS", "3")
    given = worker_environment()
    assert given["BLOOMERY_NUM_THREADS"] == "3"
    assert "a-long-password" not in str(given)
    assert os.environ["BLOOMERY_AUTH"]


def test_a_warm_head_has_a_private_token_that_the_next_one_keeps() -> None:
    settings().home.mkdir(parents=True)
    arguments = warm_head_arguments("127.0.0.1", 16379)
    assert arguments[arguments.index("--node-ip-address") + 1] == "127.0.0.1"
    token = settings().home / "ray_token"
    assert token.stat().st_mode & 0o077 == 0
    before = token.read_text("utf-8")
    assert before not in " ".join(arguments)
    warm_head_arguments("127.0.0.1", 16379)
    assert token.read_text("utf-8") == before
