"""Databases that were migrated once for this environment: a new home begins with copies of them.

Prefect and MLflow take an empty SQLite database through all of their history, which is half of the
processor seconds of a first start. What comes out depends on the installed packages alone, so it is
kept beside them, under the names of their versions. Where there is no room for it, or where a
database is not a file of the home, all goes on as it would without.

    python -m infra.templates           # make what is missing, as `make` does after the install
"""

import hashlib
import json
import logging
import os
import sqlite3
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from components.core.servers.databases import prefect_database
from components.core.settings import settings

logger = logging.getLogger(__name__)

HAS_BLOCKS = {"PREFECT_API_BLOCKS_REGISTER_ON_START": "false"}
"""For a Prefect server over a copy: the types of block are in it."""
_MAKERS = ("prefect", "alembic", "sqlalchemy", "aiosqlite", "mlflow")  # and prefect's collections
_OWN = ("PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL")
_PREFECT = """
import asyncio
from prefect.server.database import provide_database_interface
from prefect.server.models.block_registration import run_block_auto_registration

async def make():
    database = provide_database_interface()
    await database.create_db()
    async with await database.session() as session:
        await run_block_auto_registration(session=session)
    await (await database.engine()).dispose()

asyncio.run(make())
"""
_MLFLOW = """
import os
from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

engine = create_sqlalchemy_engine(os.environ["MLFLOW_BACKEND_STORE_URI"])
_initialize_tables(engine)
engine.dispose()
"""


class _Kind(NamedTuple):
    """One database: what makes it, and the variable that says where."""

    name: str
    code: str
    variable: str
    driver: str


_KINDS = {
    "prefect": _Kind("prefect", _PREFECT, _OWN[1], "sqlite+aiosqlite"),
    "mlflow": _Kind("mlflow", _MLFLOW, "MLFLOW_BACKEND_STORE_URI", "sqlite"),
}


def begin_databases() -> dict[str, str]:
    """Give a new home its databases; return the variables for a Prefect server over a copy."""
    home = settings().home.resolve()
    if not settings().mlflow_database and not settings().tracking_uri:
        _begin("mlflow", home / "mlflow" / "mlflow.db")
    prefect = Path(os.environ.get("PREFECT_HOME", home / "prefect")) / "prefect.db"
    if prefect_database() is not None or any(os.environ.get(name) for name in _OWN):
        return {}
    return HAS_BLOCKS if _begin("prefect", prefect) else {}


def make(folder: Path) -> None:
    """Make the templates that `folder` does not have.

    Raises:
        OSError: there is no room for them, or the folder cannot be written.
        subprocess.CalledProcessError: a database could not be made.
    """
    for kind in _KINDS.values():
        if not (target := folder / f"{kind.name}-{_key()}.db").exists():
            _make(kind, target)


def _begin(name: str, database: Path) -> bool:
    """Copy a template to where no database is; return whether it did."""
    if database.exists():
        return False
    template = folder() / f"{name}-{_key()}.db"
    try:
        if not template.exists():
            _make(_KINDS[name], template)
        database.parent.mkdir(parents=True, exist_ok=True)
        return _copy(template, database)
    except (OSError, subprocess.CalledProcessError) as error:
        logger.debug("%s begins without a template: %s", database, error)
        return False


def folder() -> Path:
    """Return where this environment keeps its templates."""
    return Path(sys.prefix) / "share" / "bloomery"


def _key() -> str:
    """Return a name for the packages that make the databases, and for the code above."""
    stated = [versions(_MAKERS), sqlite3.sqlite_version, _PREFECT, _MLFLOW]
    return hashlib.sha256(json.dumps(stated).encode()).hexdigest()[:16]


def versions(packages: tuple[str, ...]) -> list[str]:
    """Return the installed versions of the packages, and of what else begins with `prefect`.

    By the names of folders: to read what each package says of itself takes a third of a second.
    """
    here = Path(sysconfig.get_path("purelib")).glob("*.dist-info")
    names = [each.name.removesuffix(".dist-info").lower() for each in here]
    return sorted(n for n in names if n.startswith("prefect") or n.partition("-")[0] in packages)


def _make(kind: _Kind, template: Path) -> None:
    """Have a process of its own migrate an empty database, and keep it as a single file."""
    template.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=template.parent) as scratch:
        made, whole = Path(scratch) / "made.db", Path(scratch) / "whole.db"
        environment = {k: v for k, v in os.environ.items() if k not in _OWN}
        environment |= {"PREFECT_HOME": scratch, kind.variable: f"{kind.driver}:///{made}"}
        subprocess.run(
            [sys.executable, "-c", kind.code],
            env=environment,
            cwd=scratch,
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        with closing(sqlite3.connect(made)) as connection:
            connection.execute("VACUUM INTO ?", (str(whole),))  # without its journal
        whole.replace(template)


def _copy(template: Path, database: Path) -> bool:
    """Copy a template in one step; another process that was first keeps its database."""
    with tempfile.NamedTemporaryFile(dir=database.parent, prefix=".new-") as stream:
        stream.write(template.read_bytes())
        stream.flush()
        with suppress(FileExistsError):
            os.link(stream.name, database)
            return True
    return False


if __name__ == "__main__":
    make(folder())
