"""Where and how this machine runs things: the `BLOOMERY_*` environment, read in one place.

Nothing here is identity: changing a setting never changes a fingerprint.
"""

import difflib
import logging
import os
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from components.core.accelerators import accelerators

logger = logging.getLogger(__name__)

_OWN_MACHINE = ("127.0.0.1", "localhost", "::1")
_CHECKOUT = Path(__file__).resolve().parents[2]
_PREFIX = "BLOOMERY_"
_NO_SETTINGS = ("SECRET_", "OWNER", "STACK", "BENCH_", "TRIAL_")
"""How other variables of ours go on: secrets of sources, marks of processes, benchmarks."""


class Settings(BaseSettings):
    """The settings of one machine, each read from `BLOOMERY_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True)

    project: Path = _CHECKOUT
    """Folder that holds `data.dvc` and `data/`."""
    home: Path = _CHECKOUT / ".bloomery"
    """Folder that holds all state of this machine."""
    experiment: str = "bloomery"
    """MLflow experiment that every run goes to."""
    tracking_uri: str = ""
    """MLflow server or database; empty means the running server of `home`, else its database."""
    ray_address: str = "local"
    """`local` starts Ray for the step, `off` runs in plain processes, else a cluster's address."""
    num_workers: int = Field(default_factory=lambda: max(1, len(accelerators())), ge=1)
    """Data-parallel training processes: by default one a GPU, or one that has all CPU threads.

    On two cores two processes train the tiny recipe 1.1 times as fast, for 1.3 GB more."""
    num_threads: int = Field(default=os.cpu_count() or 1, ge=1)
    """CPU threads that one process may use."""
    data_parallel: Literal["replicate", "shard"] = "replicate"
    """Whether each training process holds the whole model (DDP) or its part of it (FSDP2)."""
    activation_checkpointing: bool = False
    """Whether blocks are computed again in the backward pass: less memory, a third more time."""
    compile: bool | None = None
    """Whether torch.compile translates the model; unset, where there is a GPU to train on."""
    prefect_port: int = Field(default=4200, ge=1, le=65535)
    """Port of the Prefect server that `bloomery up` starts."""
    mlflow_port: int = Field(default=5000, ge=1, le=65535)
    """Port of the MLflow server that `bloomery up` starts."""
    dashboard_port: int = Field(default=8501, ge=1, le=65535)
    """Port of the dashboard that `bloomery up` starts."""
    serving_port: int = Field(default=8000, ge=1, le=65535)
    """Port that models are served at."""
    ray_port: int = Field(default=6379, ge=1, le=65535)
    """Port of the Ray head that `bloomery up --ray` starts."""
    host: str = "127.0.0.1"
    """Address that the servers of `bloomery up` listen on; one beyond loopback asks for `auth`."""
    allowed_hosts: str = ""
    """Names, with commas, by which browsers reach the servers through a proxy: `mlflow.lab.org`."""
    auth: SecretStr | None = None
    """`user:password`, or a file that holds it: the login of all servers of `bloomery up`."""
    prefect_database: SecretStr | None = None
    """`postgresql://user:password@host/name` that Prefect keeps its state in instead of SQLite."""
    mlflow_database: SecretStr | None = None
    """`postgresql://user:password@host/name` that MLflow keeps its runs in instead of SQLite."""
    mlflow_artifacts: str = ""
    """URL such as `s3://bucket/mlflow` that MLflow keeps its files under instead of `home`."""
    dvc_remote: str = ""
    """URL such as `s3://bucket/dvc` that revisions of `data/` go to instead of `home`."""
    artifact_store: str = ""
    """URL such as `s3://bucket/artifacts` (any of fsspec's) by which machines share artifacts."""

    @property
    def threads_per_worker(self) -> int:
        """CPU threads of one data-parallel process."""
        return max(1, self.num_threads // self.num_workers)

    @property
    def compiles(self) -> bool:
        """Whether models are compiled for training: on two CPU cores it takes a minute to pay."""
        return bool(accelerators()) if self.compile is None else self.compile

    @property
    def artifacts(self) -> Path:
        """Folder under which components write what they make."""
        return self.home.resolve() / "artifacts"

    @property
    def runs(self) -> Path:
        """Folder of the journals of flow runs."""
        return self.home.resolve() / "runs"


@cache
def settings() -> Settings:
    """Return the settings of this process; a variable that is none of them is warned of.

    Raises:
        ValueError: a variable has a value that is not valid, or nearly the name of a setting.
    """
    known = [_variable(name) for name in Settings.model_fields]
    unknown = [name for name in sorted(os.environ) if _is_unknown(name, known)]
    mistyped = [sentence for name in unknown if (sentence := _mistyped(name, known))]
    try:
        made = Settings()
    except ValidationError as error:
        wrong = [
            f"{_variable(str(each['loc'][0]))}={each['input']} is not valid: {each['msg']}."
            for each in error.errors()
        ]
        raise ValueError(" ".join([*mistyped, *wrong, "Set another value, or unset it."])) from None
    if mistyped:
        raise ValueError(" ".join(mistyped))
    for name in unknown:
        if name.upper().startswith(_PREFIX):
            nearest = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0)[0]
            logger.warning("%s is no setting and changes nothing. The nearest: %s", name, nearest)
    return made


def _is_unknown(name: str, known: list[str]) -> bool:
    """Return whether a variable is meant for us and none of ours: in any case, as settings are."""
    ours = tuple(f"{_PREFIX}{rest}" for rest in _NO_SETTINGS)
    if not name.upper().startswith("BLO"):  # a slip comes later than that
        return False
    return name.upper() not in known and not name.upper().startswith(ours)


def _mistyped(name: str, known: list[str]) -> str | None:
    """Return a sentence about a variable that is nearly the name of a setting."""
    whole, rests = name.upper(), {each.removeprefix(_PREFIX): each for each in known}
    if whole.startswith(_PREFIX):
        near = difflib.get_close_matches(whole.removeprefix(_PREFIX), rests, n=1, cutoff=0.75)
        found = [rests[each] for each in near]
    else:
        found = difflib.get_close_matches(whole, known, n=1, cutoff=0.9)
    return f"{name} is no setting: {found[0]} is. Correct it, or unset it." if found else None


def _variable(field: str) -> str:
    return f"{_PREFIX}{field.upper()}"


def secret_variables() -> set[str]:
    """Return the names of the variables that no log, record or other process may have."""
    fields = Settings.model_fields.items()
    secret = [name for name, field in fields if SecretStr in get_args(field.annotation)]
    return set(map(_variable, secret))


def quiet_environment() -> dict[str, str]:
    """Return the variables that keep every tool local, quiet and free of telemetry."""
    home = settings().home.resolve()
    return {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "components,flows",
        "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "10",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_CLIENT_MAX_RETRIES": "6",  # two minutes without a server cost a run nothing
        "PREFECT_CLI_PROMPT": "false",
        "DO_NOT_TRACK": "1",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else Ray listens on every interface
        "RAY_AUTH_TOKEN_PATH": str(home / "ray_token"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DEDUP_LOGS": "0",
        "RAY_worker_niceness": "0",  # the work is the workers'; by default they yield to anything
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
        "RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S": "60",
        "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
        "RAY_memory_usage_threshold": "0.97",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TQDM_DISABLE": "1",  # progress is shown by flows/progress.py
        "TOKENIZERS_PARALLELISM": "true",
        # How long an idle thread spins. Training a 2 M parameter model on two cores: 1.25 x the
        # tokens a second of never spinning, and 3 x those of libgomp's default if a core is busy.
        "GOMP_SPINCOUNT": "1000",
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(home / "dvc_site"),
    }


def apply_environment() -> None:
    """Set the quiet environment in this process, where the user has not set a value."""
    settings().home.mkdir(parents=True, exist_ok=True)
    for name, value in quiet_environment().items():
        os.environ.setdefault(name, value)
    for name in ("NO_PROXY", "no_proxy"):
        known = os.environ.get(name) or os.environ.get("NO_PROXY") or os.environ.get("no_proxy", "")
        os.environ[name] = _with_own_machine(known)


def _with_own_machine(no_proxy: str) -> str:
    """Return what no proxy is asked for, with this machine's own servers."""
    given = [each.strip() for each in no_proxy.split(",") if each.strip()]
    return ",".join(dict.fromkeys([*given, *_OWN_MACHINE, settings().host]))
