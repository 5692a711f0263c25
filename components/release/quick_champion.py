"""The champion of a registered model without MLflow's client, whose import takes seconds.

An alias can move at any time, so no journal knows the champion: it is asked for where MLflow itself
would ask. Of the running server that is one request. Without a server it is MLflow's own SQLite
file, opened to read. Everything else, and every answer that is not plain, is left to the client.
"""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

from components.core.servers.calls import call
from components.core.servers.endpoints import running_servers, tracking_uri
from components.core.settings import settings
from components.release.registry import ALIAS, Registered, champion

_NAME = re.compile(r"[A-Za-z0-9_.-]+")  # what `Register` takes; MLflow stumbles over quotes
_QUERY = """
SELECT version, workspace, tag.key, tag.value
FROM registered_model_aliases AS alias
JOIN model_versions AS version USING (workspace, name, version)
LEFT JOIN model_version_tags AS tag USING (workspace, name, version)
WHERE name = ? AND alias.alias = ? AND version.current_stage IS NOT 'Deleted_Internal'
"""


def quick_champion(name: str) -> Registered | None:
    """Return the version of `name` that has the alias `champion`, or None."""
    if not _NAME.fullmatch(name):
        return None
    uri, servers = tracking_uri(), running_servers()
    database = settings().home.resolve() / "mlflow" / "mlflow.db"
    found: Registered | None = None
    if servers is not None and uri == servers.mlflow:
        found = _ask(uri, name)
    elif uri == f"sqlite:///{database}" and database.exists():
        found = _read(database, name)
    return found or champion(name)


def _ask(server: str, name: str) -> Registered | None:
    """Return what a server of ours answers, None if it says no or nothing."""
    query = urlencode({"name": name, "alias": ALIAS})
    try:
        reply = call(f"{server}/api/2.0/mlflow/registered-models/alias?{query}", timeout=10)
        found = reply["model_version"]
        tags = {tag["key"]: tag["value"] for tag in found.get("tags", [])}
        return Registered(name=name, version=int(found["version"]), tags=tags)
    except (OSError, ValueError, KeyError):
        return None


def _read(database: Path, name: str) -> Registered | None:
    """Return what MLflow's tables say, None if there is no such row or another kind of table."""
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute(_QUERY, (name, ALIAS)).fetchall()
    except sqlite3.Error:
        return None
    if not rows or {workspace for _, workspace, _, _ in rows} != {"default"}:
        return None
    tags = {key: value for _, _, key, value in rows if key is not None}
    return Registered(name=name, version=rows[0][0], tags=tags)
