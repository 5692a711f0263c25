"""Rows of a real SQLite database."""

import sqlite3

import pytest

from components.data.sources.reading import read
from components.data.sources.source import Reading, Source


@pytest.fixture
def database(tmp_path):
    file = tmp_path / "a.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE letters (body TEXT, year INTEGER, weight REAL)")
        rows = [(f"letter {number}", 1790 + number, 0.5) for number in range(1200)]
        connection.executemany("INSERT INTO letters VALUES (?, ?, ?)", [*rows, (None, 1, 0.5)])
    return f"sqlite:///{file}"


def read_all(location, folder, **how):
    return list(read(Reading(Source(location=location, **how), "mine", folder)))


def test_a_query_gives_a_document_a_row_with_its_other_columns(database, tmp_path):
    query = "SELECT body, year, weight FROM letters ORDER BY rowid"
    *found, bad = read_all(database, tmp_path, query=query, text_column="body")
    assert [d.text for d in found] == [f"letter {number}" for number in range(1200)]
    assert found[7].id == "mine/query#8"
    assert found[7].metadata == {"source": database, "row": 8, "year": 1797}
    assert (bad.reason, bad.detail) == ("not text", "body is NoneType, not text: 'None'")


def test_a_query_changes_nothing(database, tmp_path):
    query = "DELETE FROM letters RETURNING body AS text"
    assert len(read_all(database, tmp_path, query=query)) == 1201
    assert len(read_all(database, tmp_path, query="SELECT body AS text FROM letters")) == 1201


@pytest.mark.parametrize(
    ("location", "query", "message"),
    [
        ("sqlite:///{}/a.db", "", "is a database: say what to read with --query"),
        ("sqlite:///{}/a.db", "SELECT * FROM absent", "no such table: absent"),
        ("nosuch://me:pw@host/db", "SELECT 1", r"nosuch://host/db does not answer"),
        ("oracle://me:pw@host/db", "SELECT 1", r"oracle://host/db does not answer"),
        ("postgresql://me:${BLOOMERY_SECRET_NONE}@host/db", "SELECT 1", "SECRET_NONE is not set"),
    ],
)
def test_what_cannot_be_asked_is_said_without_the_password(
    database, tmp_path, location, query, message
):
    with pytest.raises(ValueError, match=message) as error:
        read_all(location.replace("{}", str(tmp_path)), tmp_path, query=query)
    assert "pw" not in str(error.value)
