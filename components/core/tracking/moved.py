"""A home that was moved or copied: MLflow's database holds absolute paths, which have to follow.

`<home>/mlflow/home.txt` says where the home was when its paths were last right. Where that is here,
nothing is asked of the database. A home of an earlier build lacks the file: what its database names
is looked for here.
"""

import logging
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse
from urllib.request import url2pathname

from components.core.files import write_atomically
from components.core.servers.databases import mlflow_database
from components.core.settings import settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger(__name__)

_FILES = "/mlflow/artifacts"  # of a home
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),
)
"""Tables and columns of MLflow that hold the URL of a place."""


def follow_home() -> None:
    """Have MLflow's database name the places of this home, if it was made in another place.

    What is kept by another server or database is not of this home, and stays as it is.
    """
    if not settings().tracking_uri:
        _follow(settings().home.resolve(), mlflow_database())


def elsewhere() -> dict[Path, int]:
    """Return the homes that MLflow's database names beside this one: how often each."""
    if settings().tracking_uri:
        return {}
    home, database = settings().home.resolve(), mlflow_database()
    if not _is_there(database):
        return {}
    with _connected(database) as connection:
        homes = [each for each in _homes(connection) if each != home]
        return {each: _count(connection, each) for each in homes}


def mend() -> None:
    """Have MLflow's database follow, also where it was put back from a copy of an older day."""
    follow_home()
    if not settings().tracking_uri:
        _look(settings().home.resolve(), mlflow_database())


@cache
def _follow(home: Path, database: str) -> None:
    marker = home / "mlflow" / "home.txt"
    known = Path(marker.read_text("utf-8").strip()) if marker.exists() else None
    if known == home:
        return
    if known is None:
        are_right = _look(home, database)
    elif _is_there(database):
        with _connected(database) as connection:
            are_right = _move(connection, known, home, database)
    else:
        are_right = True
    if are_right:
        marker.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(marker, f"{home}\n")


def _look(home: Path, database: str) -> bool:
    """Follow from whichever homes the database shows this one to have been."""
    if not _is_there(database):
        return True
    with _connected(database) as connection:
        homes = _homes_that_were_this(connection, home, database)
        return all([_move(connection, old, home, database) for old in homes])


def _move(connection: "Connection", old: Path, home: Path, database: str) -> bool:
    """Return whether the database now names `home`, as it did `old`."""
    if not database.startswith("sqlite") and _has_files(old):
        logger.warning(
            "This home is a copy of %s, and both use one MLflow database: what is logged here goes "
            "there. Give this one a database (BLOOMERY_MLFLOW_DATABASE) or an experiment "
            "(BLOOMERY_EXPERIMENT) of its own.",
            old,
        )
        return False
    if num := _rewrite(connection, old.as_uri(), home.as_uri()):
        logger.warning(
            "The home was moved from %s to %s: %d places in MLflow's database follow it.",
            old,
            home,
            num,
        )
    return True


def _homes_that_were_this(connection: "Connection", home: Path, database: str) -> list[Path]:
    """Return the homes in the database whose files are here: it was moved by an earlier build."""
    others = [each for each in _homes(connection) if each != home]
    here = [each for each in others if _has_runs_of(connection, each, home)]
    alone = database.startswith("sqlite") and len(others) == 1 and not _has_files(others[0])
    return here or (others if alone else [])


def _homes(connection: "Connection") -> list[Path]:
    """Return the homes that experiments and runs keep their files in."""
    urls = [url for table, column in _PLACES[:2] for url in _values(connection, table, column)]
    found = [Path(url2pathname(urlparse(url).path.partition(_FILES)[0])) for url in urls]
    return list(dict.fromkeys(found))


def _values(connection: "Connection", table: str, column: str) -> Iterator[str]:
    from sqlalchemy import text

    if (table, column) not in _present(connection):
        return
    rows = text(f"SELECT DISTINCT {column} FROM {table} WHERE {column} LIKE :like")
    yield from connection.execute(rows, {"like": f"file:///%{_FILES}%"}).scalars()


def _has_runs_of(connection: "Connection", old: Path, home: Path) -> bool:
    before = old.as_uri()
    urls = [url for url in _values(connection, *_PLACES[1]) if url.startswith(f"{before}/")]
    here = (home / url2pathname(url.removeprefix(f"{before}/")) for url in urls)
    return any(folder.exists() for folder in here)


def _has_files(home: Path) -> bool:
    return Path(f"{home}{_FILES}").is_dir()


def _count(connection: "Connection", home: Path) -> int:
    from sqlalchemy import text

    place, num = f"{home.as_uri()}/", 0
    for table, column in _present(connection):
        rows = text(f"SELECT count(*) FROM {table} WHERE substr({column}, 1, :length) = :place")
        given = {"place": place, "length": len(place)}
        num += connection.execute(rows, given).scalar_one()
    return num


def _rewrite(connection: "Connection", old: str, new: str) -> int:
    """Have every place in `old` begin with `new`, and return how many those are."""
    from sqlalchemy import text

    given, num = {"old": f"{old}/", "length": len(old) + 1, "new": new, "rest": len(old) + 1}, 0
    for table, column in _present(connection):
        change = text(
            f"UPDATE {table} SET {column} = CAST(:new AS TEXT) || substr({column}, :rest) "
            f"WHERE substr({column}, 1, :length) = :old"
        )
        num += connection.execute(change, given).rowcount
    return num


def _present(connection: "Connection") -> list[tuple[str, str]]:
    """Return those places that this version of MLflow's database has."""
    from sqlalchemy import inspect

    found = inspect(connection)
    tables = set(found.get_table_names())
    columns = {
        table: {column["name"] for column in found.get_columns(table)}
        for table, _ in _PLACES
        if table in tables
    }
    return [place for place in _PLACES if place[1] in columns.get(place[0], set())]


@contextmanager
def _connected(database: str) -> "Generator[Connection]":
    """Give a connection to MLflow's database; what is changed is kept if the block ends well."""
    from sqlalchemy import create_engine

    engine = create_engine(database)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _is_there(database: str) -> bool:
    """Return whether a database may hold something: a new one has nothing to follow."""
    file = database.removeprefix("sqlite:///")
    return file == database or Path(file).exists()
