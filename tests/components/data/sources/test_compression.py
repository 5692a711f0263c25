import bz2
import gzip
import io
import json
import lzma
import random
import tarfile
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.document import Document
from components.data.sources.compression import Tail, expanded
from components.data.sources.intake import Intake
from components.data.sources.reading import read
from components.data.sources.source import ArchiveLimit, Budget, Reading, Source

ROWS = [{"text": f"Letter {number} of the harbour office, about grain."} for number in range(300)]
COMPRESS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}
NAMES = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd"}
SUFFIXES = sorted(COMPRESS)


def lines(rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def found_in(file, **how):
    reading = Reading(Source(location=str(file), **how), "mine", file.parent / "state")
    found = list(read(reading))
    documents = [each.text for each in found if isinstance(each, Document)]
    return documents, [each for each in found if not isinstance(each, Document)]


def taken_in(file, **how):
    reading = Reading(Source(location=str(file), **how), "mine", file.parent / "state")
    intake = Intake(reading, file.parent / "rejects.jsonl")
    return len(list(intake.documents())), dict(intake.rejected)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_members_that_follow_each_other_are_read_as_one(tmp_path, suffix):
    compress, file = COMPRESS[suffix], tmp_path / f"a.jsonl{suffix}"
    file.write_bytes(compress(lines(ROWS[:100])) + compress(b"") + compress(lines(ROWS[100:])))
    assert found_in(file) == ([row["text"] for row in ROWS], [])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("num_zeros", [1, 700, 70_000])
def test_zeros_after_a_stream_cost_one_record_and_no_document(tmp_path, suffix, num_zeros):
    file = tmp_path / f"a.jsonl{suffix}"
    file.write_bytes(COMPRESS[suffix](lines(ROWS)) + bytes(num_zeros))
    documents, rejects = found_in(file)
    assert len(documents) == 300
    assert [(each.reason, each.count) for each in rejects] == [("trailing bytes", 1)]
    assert str(num_zeros) in rejects[0].detail


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_member_after_zeros_is_not_lost(tmp_path, suffix):
    compress, file = COMPRESS[suffix], tmp_path / f"a.jsonl{suffix}"
    file.write_bytes(compress(lines(ROWS[:150])) + bytes(1024) + compress(lines(ROWS[150:])))
    assert len(found_in(file)[0]) == 300


def test_padding_to_the_end_of_a_block_is_harmless(tmp_path):
    content = gzip.compress(lines(ROWS[:2]))
    file = tmp_path / "a.jsonl.gz"
    file.write_bytes(content + bytes(-len(content) % 512))
    assert taken_in(file) == (2, {"padding": 1})


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_no_stream_after_one_counts_by_its_size(tmp_path, suffix):
    packed = COMPRESS[suffix](lines(ROWS))
    file = tmp_path / f"a.jsonl{suffix}"
    file.write_bytes(packed + b"x" * len(packed))
    documents, (rejected,) = found_in(file)
    assert len(documents) == 300
    assert (rejected.count, rejected.lost_bytes) == (300, len(packed))
    with pytest.raises(ValueError, match=r"50\.0% of the records"):
        taken_in(file)
    assert taken_in(file, max_bad=0.6)[0] == 300


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_all_that_came_out_before_a_cut_is_read_and_the_cut_is_said(tmp_path, suffix):
    rng = random.Random(4)
    rows = [{"text": rng.randbytes(3000).hex()} for _ in range(300)]
    packed = COMPRESS[suffix](lines(rows))
    file = tmp_path / f"a.jsonl{suffix}"
    file.write_bytes(packed[: len(packed) // 2])
    documents, (rejected,) = found_in(file)
    assert documents == [row["text"] for row in rows[: len(documents)]]
    assert len(documents) > 50
    assert rejected.reason == "truncated"
    assert "how much is missing is not known" in rejected.detail


def test_damage_in_the_middle_counts_what_could_not_be_read_after_it(tmp_path):
    rng = random.Random(5)
    packed = bytearray(gzip.compress(lines([{"text": rng.randbytes(2000).hex()}] * 1)))
    members = [gzip.compress(lines([{"text": rng.randbytes(2000).hex()}] * 10)) for _ in range(20)]
    members[5] = members[5][:40] + b"\xff" * 40 + members[5][80:]
    file = tmp_path / "a.jsonl.gz"
    file.write_bytes(b"".join([bytes(packed), *members]))
    documents, (rejected,) = found_in(file)
    assert 40 <= len(documents) <= 60
    assert rejected.lost_bytes > 0
    assert len(documents) + rejected.count > 60


def test_a_parquet_file_without_its_end_is_no_single_bad_record(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b", "c"):
        texts = [f"{name} {number} {random.Random(number).random()}" for number in range(2000)]
        pq.write_table(pa.table({"text": texts}), folder / f"{name}.parquet")
    whole = (folder / "b.parquet").read_bytes()
    (folder / "b.parquet").write_bytes(whole[: len(whole) * 9 // 10])
    with pytest.raises(ValueError, match=r"\d\d\.\d% of the bytes .* are bad"):
        taken_in(folder)
    assert taken_in(folder, max_bad=0.5)[0] == 4000


def test_a_second_tar_behind_the_first_and_what_is_none_are_not_passed_over(tmp_path):
    def packed(*names):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = 5
                archive.addfile(info, io.BytesIO(b"words"))
        return out.getvalue()

    (tmp_path / "a.tar").write_bytes(packed("a.txt", "b.txt") + packed("c.txt"))
    assert [len(part) for part in found_in(tmp_path / "a.tar")] == [3, 0]
    (tmp_path / "b.tar.gz").write_bytes(gzip.compress(packed("a.txt") + b"no header" * 3000))
    documents, (rejected,) = found_in(tmp_path / "b.tar.gz")
    assert (len(documents), rejected.reason) == (1, "trailing bytes")


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".xz", ".bz2"])
def test_a_bomb_is_stopped_before_it_takes_much_memory(suffix):
    packed = COMPRESS[suffix](bytes(200 << 20))
    tracemalloc.start()
    stream = expanded(io.BytesIO(packed), NAMES[suffix], Budget(2, size=len(packed)), Tail())
    with pytest.raises(ArchiveLimit):
        while stream.read(1 << 16):
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80 << 20


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.binary(max_size=5000), min_size=1, max_size=5),
    gap=st.integers(0, 3000),
    suffix=st.sampled_from(SUFFIXES),
    other=st.sampled_from([b"", b"other", b"\x01" * 70_000]),
)
def test_every_byte_of_a_compressed_file_is_content_or_counted(parts, gap, suffix, other):
    members = [COMPRESS[suffix](part) for part in parts]
    tail = Tail()
    packed = bytes(gap).join(members) + other
    stream = expanded(io.BytesIO(packed), NAMES[suffix], Budget(1000), tail)
    assert stream.read() == b"".join(parts)
    assert tail.num_zeros == gap * (len(parts) - 1)
    assert tail.num_other == len(other)
    assert tail.num_members == sum(map(len, members))
