"""The databases behind Prefect and MLflow: SQLite under `home`, or PostgreSQL by URL.

A URL may hold a password, so it reaches processes by their environment alone, and is shown without.
"""

import re

from pydantic import SecretStr

from components.core.settings import settings

_PREFECT_DRIVER, _MLFLOW_DRIVER = "asyncpg", "psycopg"
_SECONDS = 10


def hidden(text: str) -> str:
    """Return the text with the password of every URL in it replaced by stars."""
    return re.sub(r"(://[^:/@\s]*):[^/\s]*@", r"\1:***@", text)


def prefect_database() -> str | None:
    """Return the URL that Prefect's server takes, None for its SQLite.

    Raises:
        ValueError: it is not the URL of a PostgreSQL database.
    """
    return _with_driver("BLOOMERY_PREFECT_DATABASE", settings().prefect_database, _PREFECT_DRIVER)


def mlflow_database() -> str:
    """Return the URL of MLflow's database.

    Raises:
        ValueError: what is set is not the URL of a PostgreSQL database.
    """
    given = settings().mlflow_database
    if url := _with_driver("BLOOMERY_MLFLOW_DATABASE", given, _MLFLOW_DRIVER):
        return url
    file = settings().home.resolve() / "mlflow" / "mlflow.db"
    file.parent.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{file}"


def server_environment() -> dict[str, str]:
    """Return the variables by which the servers learn where their databases are."""
    found = {"MLFLOW_BACKEND_STORE_URI": mlflow_database()}
    if (url := prefect_database()) is not None:
        found["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = url
    return found


def refuse_dead_databases() -> None:
    """Make sure that the databases that are set answer.

    Raises:
        ValueError: one does not, with the reason and the remedy.
    """
    for name, given in (
        ("BLOOMERY_PREFECT_DATABASE", settings().prefect_database),
        ("BLOOMERY_MLFLOW_DATABASE", settings().mlflow_database),
    ):
        if url := _with_driver(name, given, _MLFLOW_DRIVER):
            _connect(name, url)


def _with_driver(name: str, given: SecretStr | None, driver: str) -> str | None:
    if given is None or not given.get_secret_value():
        return None
    scheme, separator, rest = given.get_secret_value().partition("://")
    if not separator or scheme.partition("+")[0] not in ("postgresql", "postgres"):
        raise ValueError(
            f"{name} is not the URL of a PostgreSQL database ({scheme[:20]}...). Write it as "
            "postgresql://user:password@host:5432/name, or leave it out for SQLite."
        )
    return f"postgresql+{driver}://{rest}"


def _connect(name: str, url: str) -> None:
    """Open a connection and close it again."""
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    try:
        engine = create_engine(url, connect_args={"connect_timeout": _SECONDS})
        engine.connect().close()
        engine.dispose()
    except ImportError as error:
        raise ValueError(f"{name} needs a driver: pip install 'bloomery[postgres]'.") from error
    except (SQLAlchemyError, ValueError) as error:
        reason = hidden(str(error).strip().splitlines()[0])
        raise ValueError(
            f"{name}={hidden(url)} does not answer: {reason}. Start that database, or "
            "correct the URL."
        ) from None
