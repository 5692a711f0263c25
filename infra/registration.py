"""Whether the server has the deployments of this very code, so that they need no registering.

To register them takes the import of all flows. What they are made of is known without: the files
of the code and the versions of the packages. And what the server has of them is asked for, since
people and other builds change it, too.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import yaml

from components.core.artifacts.base import Frozen
from components.core.files import write_atomically
from components.core.servers.calls import answer
from components.core.settings import settings
from infra.services import CHECKOUT
from infra.templates import versions

FILE = Path(__file__).with_name("prefect.yaml")
_PACKAGES = ("prefect", "pydantic", "pydantic_core")
_OWNED = ("name", "entrypoint", "description", "tags", "parameter_openapi_schema", "work_queue_id")
_AT_ONCE = 200  # Prefect's page


class _Registered(Frozen):
    """What was there after the last time that the deployments were registered."""

    code: str
    """Hash of all that they are made of."""
    found: str
    """Hash of what the server then had of them."""


def is_code_registered() -> bool:
    """Return whether the last registered deployments were those of this code."""
    return (last := _last()) is not None and last.code == code()


def is_there() -> bool:
    """Return whether the server still has what was registered, as it was."""
    return (last := _last()) is not None and last.found == _found()


def note() -> None:
    """Write down what the server has, now that it was registered."""
    if (found := _found()) is not None:
        write_atomically(_file(), _Registered(code=code(), found=found).model_dump_json() + "\n")


def code() -> str:
    """Return a hash of the code and the packages that make the deployments."""
    digest = hashlib.sha256(json.dumps(versions(_PACKAGES)).encode())
    for file in sorted([FILE, *_modules()]):
        digest.update(f"{file.relative_to(CHECKOUT)}\n".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _modules() -> list[Path]:
    return [file for part in ("flows", "components", "infra") for file in _python(CHECKOUT / part)]


def _python(folder: Path) -> list[Path]:
    return list(folder.rglob("*.py"))


def _found() -> str | None:
    """Return a hash of the deployments and automations that the server has, None if it is away."""
    api = os.environ["PREFECT_API_URL"]
    stated = yaml.safe_load(FILE.read_text("utf-8"))
    deployments = answer(f"{api}/deployments/filter", {"limit": _AT_ONCE})
    automations = answer(f"{api}/automations/filter", {"limit": _AT_ONCE})
    if not isinstance(deployments, list) or not isinstance(automations, list):
        return None
    ours = [row for row in deployments if (row["entrypoint"] or "").startswith("flows.")]
    owned = sorted(json.dumps([row[name] for name in _OWNED], sort_keys=True) for row in ours)
    return hashlib.sha256(json.dumps([owned, _present(automations, stated)]).encode()).hexdigest()


def _present(automations: list[dict[str, Any]], stated: dict[str, Any]) -> list[str]:
    """Return which of the stated automations are there: people rename and remove them."""
    names = {row["name"] for row in automations}
    return sorted(entry["name"] for entry in stated["automations"] if entry["name"] in names)


def _file() -> Path:
    return settings().home.resolve() / "prefect" / "registered.json"


def _last() -> _Registered | None:
    try:
        return _Registered.model_validate_json(_file().read_text("utf-8"))
    except (OSError, ValueError):
        return None
