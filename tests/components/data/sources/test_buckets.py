"""Objects of file systems that fsspec knows."""

import gzip
import io
import zipfile
from importlib.util import find_spec

import fsspec
import pytest

from components.data.sources.reading import SourceGone, read
from components.data.sources.source import Reading, Source


def read_all(location, folder):
    return list(read(Reading(Source(location=location), "mine", folder)))


@pytest.fixture
def bucket():
    system = fsspec.filesystem("memory")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("c.txt", "three")
    system.pipe("/bucket/in/a.jsonl.gz", gzip.compress(b'{"text": "one"}\n{"text": "two"}\n'))
    system.pipe("/bucket/in/b.zip", packed.getvalue())
    yield system
    system.rm("/bucket", recursive=True)


def test_all_objects_under_a_prefix_are_read_in_order_and_one_alone(bucket, tmp_path):
    found = read_all("memory://bucket/in", tmp_path)
    assert [(d.id, d.text, d.metadata["source"]) for d in found] == [
        ("mine/a.jsonl.gz#1", "one", "memory://bucket/in/a.jsonl.gz"),
        ("mine/a.jsonl.gz#2", "two", "memory://bucket/in/a.jsonl.gz"),
        ("mine/b.zip/c.txt", "three", "memory://bucket/in/b.zip"),
    ]
    [found] = read_all("memory://bucket/in/b.zip", tmp_path)
    assert found.id == "mine/b.zip/c.txt"


def test_an_object_that_vanishes_half_way_stops_the_reading(bucket, tmp_path):
    found = read(Reading(Source(location="memory://bucket/in"), "mine", tmp_path))
    next(found)
    bucket.rm("/bucket/in/b.zip")
    with pytest.raises(SourceGone, match=r"memory://bucket/in/b\.zip cannot be read to its end"):
        list(found)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("memory://bucket/nothing", "is empty or does not exist"),
        ("zip://a.txt::memory://bucket/in/b.zip", "chains file systems"),
        ("nosuch://bucket/a", "cannot be listed: Protocol not known"),
        ("gs://bucket/a", "needs gcsfs: `pip install gcsfs`"),
    ],
)
def test_what_cannot_be_had_is_said_with_the_remedy(bucket, tmp_path, location, message):
    if "gcsfs" in message and find_spec("gcsfs"):
        pytest.skip("gcsfs is installed")
    with pytest.raises(ValueError, match=message):
        read_all(location, tmp_path)
