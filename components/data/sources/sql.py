"""SQL: the rows of a query, streamed."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO, cast

from components.data.document import Document
from components.data.sources.documents import document_of_row
from components.data.sources.source import (
    REFERENCE,
    Blob,
    Budget,
    Reading,
    Reject,
    without_credentials,
)

_DIALECT = re.compile(r"(sqlite|postgresql|mysql|mariadb|mssql|oracle|duckdb|snowflake)(\+\w+)?:")
_CHUNK_ROWS = 500


def is_database(location: str) -> bool:
    """Whether a location is a SQLAlchemy URL."""
    return _DIALECT.match(location) is not None


def read_query(reading: Reading) -> Iterator[Document | Reject]:
    """Yield the document of each row, numbered from 1; what a query changes is rolled back.

    The server is asked to keep the result and send it in chunks, where its driver can. Order the
    query, or another run may give another order. Raises ValueError if it fails.
    """
    import sqlalchemy
    from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

    shown = without_credentials(reading.source.location)
    if not reading.source.query:
        raise ValueError(f"{shown} is a database: say what to read with --query 'select ...'")
    blob = _blob(reading, shown)
    try:
        engine = sqlalchemy.create_engine(_with_secrets(reading.source.location))
        with engine.connect() as connection:
            streamed = connection.execution_options(yield_per=_CHUNK_ROWS)
            found = streamed.execute(sqlalchemy.text(reading.source.query)).mappings()
            for number, row in enumerate(found, start=1):
                values = cast("Mapping[str, object]", row)
                document = document_of_row(reading, blob, dict(values), number)
                text = document.text if isinstance(document, Document) else document.sample
                reading.num_bytes += len(text.encode())
                yield document
        engine.dispose()
    except (SQLAlchemyError, NoSuchModuleError, ImportError) as error:
        raise ValueError(f"{shown} does not answer the query: {_first_line(error)}") from None


def _with_secrets(location: str) -> str:
    def value(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise ValueError(f"{found[1]} is not set: put the password into it")
        return os.environ[found[1]]

    return REFERENCE.sub(value, location)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _blob(reading: Reading, place: str) -> Blob:
    def opened() -> BinaryIO:
        raise AssertionError("rows come from the database")

    return Blob("query", "query", place, opened, Budget(reading.source.max_ratio))
