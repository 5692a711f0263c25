"""What nobody should send but somebody will: the good survive, the bad are counted, with why."""

import gzip
import io
import json
import random
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data.document import Document
from components.data.sources import archives
from components.data.sources.intake import Intake
from components.data.sources.reading import SourceGone, read
from components.data.sources.source import Reading, Source

ROOT = Path(__file__).resolve().parents[4]
GOOD = [{"text": f"A good document, number {number}."} for number in range(40)]


def lines(rows=GOOD) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def take_in(tmp_path):
    """Return a function that reads a source as an ingest does."""

    def taken(location, **how):
        reading = Reading(Source(location=str(location), **how), "mine", tmp_path / "state")
        intake = Intake(reading, tmp_path / "rejects.jsonl")
        return [document.text for document in intake.documents()], dict(intake.rejected)

    return taken


def rejects(tmp_path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]


DEEP = "[" * (sys.getrecursionlimit() * 50)
BAD_FILES = {
    "latin.txt": (b"caf\xe9", "not UTF-8"),
    "nul.txt": (b"words\0words", "binary"),
    "program.txt": (b"\x7fELF\x02\x01\x01" + bytes(range(256)), "binary"),
    "noise.md": (random.Random(1).randbytes(5000), "binary"),
    "really.txt": (b"PAR1...PAR1", "binary"),
    "really.jsonl": (gzip.compress(b"{}"), "binary"),
    "really.csv": (b"%PDF-1.7", "binary"),
    "half.jsonl": (b'{"text": ', "not JSON"),
    "deep.jsonl": (DEEP.encode(), "not JSON"),
    "deep.json": (DEEP.encode(), "not JSON"),
    "digits.jsonl": (b'{"text": "x", "n": ' + b"9" * 1_000_000 + b"}", "not JSON"),
    "list.jsonl": (b'["x"]', "not JSON"),
    "nul.jsonl": (b'{"text": "a\0b"}', "not JSON"),
    "number.jsonl": (b'{"text": 5}', "not text"),
    "surrogate.jsonl": (b'{"text": "\\ud800"}', "not UTF-8"),
    "latin.jsonl": (b'{"text": "\xe9"}', "not UTF-8"),
    "other.jsonl": (b'{"body": "x"}', "no text column"),
    "quote.csv": (b'text\n"never closed\n', "unclosed"),
    "short.csv": (b"text,year\nx\n", "wrong columns"),
    "latin.csv": (b"text\n\xe9\n", "not UTF-8"),
    "half16.txt": ("words".encode("utf-16")[:-1], "not UTF-8"),
    "cut.parquet": (b"PAR1 cut off", "unreadable"),
    "no.parquet": (b"text\nword\n", "unreadable"),
    "empty.parquet": (b"", "unreadable"),
    "no.zip": (b"PK\x03\x04 no zip", "unreadable"),
    "no.tar": (b"no tar" * 200, "unreadable"),
    "no.txt.gz": (b"no gzip", "unreadable"),
    "no.warc": (b"no crawl", "unreadable"),
    "blank.txt": (b" \n\t", "blank"),
    "empty.txt": (b"", "blank"),
    "photo.jpg": (b"\xff\xd8\xff", "other kind"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_counted_with_its_reason_and_the_good_ones_survive(tmp_path, take_in, name):
    content, reason = BAD_FILES[name]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_bytes(lines())
    (tmp_path / "in" / name).write_bytes(content)
    (tmp_path / "in" / "z.txt").write_text("The last one.")
    texts, rejected = take_in(tmp_path / "in")
    assert texts == [*(row["text"] for row in GOOD), "The last one."]
    assert rejected == {reason: 1}
    [row] = rejects(tmp_path)
    assert row["reason"] == reason
    assert row["place"].startswith(f"in/{name}")
    assert row["detail"]
    assert len(row["text"]) <= 1000


@pytest.mark.parametrize("name", [n for n, (_, reason) in BAD_FILES.items() if reason != "blank"])
def test_a_source_of_nothing_but_bad_records_is_refused_with_the_place_of_the_list(
    tmp_path, take_in, name
):
    (tmp_path / name).write_bytes(BAD_FILES[name][0])
    with pytest.raises(ValueError, match=r"gives no document \(1 [\w -]+\).* See .*rejects\.jsonl"):
        take_in(tmp_path / name)


def test_a_wrong_column_is_said_with_those_that_there_are_and_found_early(tmp_path, take_in):
    (tmp_path / "a.jsonl").write_bytes(lines([{"body": "x", "id": 1}] * 5000))
    with pytest.raises(ValueError, match=r"no column 'text' among these: body, id.*--text-column"):
        take_in(tmp_path / "a.jsonl")
    assert len(rejects(tmp_path)) == 1000
    pq.write_table(pa.table({"body": ["x"] * 7}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"7 no text column.*of text among these: body"):
        take_in(tmp_path / "a.parquet")


def test_more_than_the_allowed_share_of_bad_records_is_an_error_that_says_how_to_go_on(
    tmp_path, take_in
):
    (tmp_path / "a.jsonl").write_bytes(lines() + b"no JSON\n" * 3)
    with pytest.raises(
        ValueError, match=r"7\.0% of the records .* \(3 not JSON\).*--max-bad 0\.08"
    ):
        take_in(tmp_path / "a.jsonl")
    assert take_in(tmp_path / "a.jsonl", max_bad=0.08)[1] == {"not JSON": 3}


def test_a_schema_that_changes_in_the_middle_costs_only_the_rows_after_it(tmp_path, take_in):
    (tmp_path / "a.jsonl").write_bytes(lines() + lines([{"content": "x"}, {"text": ["x"]}]))
    texts, rejected = take_in(tmp_path / "a.jsonl")
    assert (len(texts), rejected) == (40, {"no text column": 1, "not text": 1})
    rows = "\n".join(["text,n", *("word,1" for _ in range(40)), "word,1,2", '"a"b,1', "word,2"])
    (tmp_path / "a.csv").write_text(rows)
    texts, rejected = take_in(tmp_path / "a.csv")
    assert (len(texts), rejected) == (41, {"wrong columns": 1, "not CSV": 1})


QUOTES = {
    "one that is never closed": 'word,"1',
    "one that the next closes by chance": 'word,"1\nword,"2',
    "one on the last line": "",
}


@pytest.mark.parametrize("broken", QUOTES.values(), ids=QUOTES)
def test_a_quote_that_nobody_closes_costs_its_line_and_not_the_rows_after_it(
    tmp_path, take_in, broken
):
    last = "" if broken else 'word,"x'
    rows = ["text,n", *("word,1" for _ in range(40)), broken, *("late,2" for _ in range(60)), last]
    (tmp_path / "a.csv").write_text("\n".join(row for row in rows if row))
    texts, rejected = take_in(tmp_path / "a.csv")
    assert len(texts) + rejected.pop("unclosed") >= 101
    assert not rejected
    assert texts.count("late") == 60


def test_a_field_of_many_lines_stays_one_and_too_long_a_one_counts_all_of_its_lines(
    tmp_path, take_in
):
    poem = "\n".join(f"line {n}" for n in range(200))
    (tmp_path / "a.csv").write_text(f'text,n\n"{poem}",1\nword,2\n')
    texts, rejected = take_in(tmp_path / "a.csv")
    assert (texts, rejected) == ([poem, "word"], {})
    _, rejected = take_in(tmp_path / "a.csv", max_record_bytes=500, max_bad=1)
    assert rejected["too long"] > 10


def test_nothing_and_only_duplicates_are_two_different_things(tmp_path, take_in):
    (tmp_path / "in").mkdir()
    with pytest.raises(ValueError, match="is empty: put documents into it"):
        take_in(tmp_path / "in")
    with pytest.raises(ValueError, match="does not exist: give a file, a folder or a URL"):
        take_in(tmp_path / "nowhere")
    (tmp_path / "in" / "a.jsonl").write_bytes(lines([{"text": "same"}] * 3))
    assert take_in(tmp_path / "in")[0] == ["same"] * 3


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2", ".zip", ".tar.gz"])
def test_what_comes_before_the_cut_of_a_truncated_file_survives(tmp_path, take_in, suffix):
    rng = random.Random(2)
    rows = [{"text": f"{number} {rng.randbytes(2000).hex()}"} for number in range(400)]
    file, content = tmp_path / f"a.jsonl{suffix}", lines(rows)
    if suffix == ".zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.jsonl", content)
    elif suffix == ".tar.gz":
        with tarfile.open(file, "w:gz") as archive:
            info = tarfile.TarInfo("a.jsonl")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    elif suffix == ".gz":
        file.write_bytes(gzip.compress(content))
    else:
        codec = {".zst": "zstd", ".bz2": "bz2"}[suffix]
        with pa.CompressedOutputStream(str(file), codec) as stream:
            stream.write(content)
    whole = file.read_bytes()
    if suffix == ".zip":  # its directory is at the end: what is damaged is inside
        whole = whole[: len(whole) // 2] + b"\0" * 1000 + whole[len(whole) // 2 + 1000 :]
        file.write_bytes(whole)
    else:
        file.write_bytes(whole[: len(whole) * 2 // 3])
    texts, rejected = take_in(file, max_bad=0.5)
    assert texts == [row["text"] for row in rows[: len(texts)]]
    assert len(texts) >= 100
    assert rejected.keys() & {"truncated", "unreadable"}


def test_text_without_the_mark_of_text_is_read_and_what_is_no_utf8_is_refused(tmp_path, take_in):
    binary = pa.array([b"word", "caf\u00e9".encode(), b"caf\xe9"], pa.binary())
    table = pa.table({"text": binary, "picture": binary, "n": [1, 2, 3]})
    pq.write_table(table, tmp_path / "a.parquet")
    texts, rejected = take_in(tmp_path / "a.parquet", max_bad=0.5)
    assert (texts, rejected) == (["word", "caf\u00e9"], {"not UTF-8": 1})


def test_parquet_without_the_column_names_those_that_are_there_with_their_types(tmp_path, take_in):
    chats = pa.array([[{"role": "user", "content": "Why?"}]])
    pq.write_table(pa.table({"messages": chats, "n": [1]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"'text' of text among these: messages \(list.*n \(int64"):
        take_in(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"n is int, not text"):
        take_in(tmp_path / "a.parquet", text_column="n")


def test_a_damaged_page_of_parquet_counts_the_rows_that_are_lost_with_it(tmp_path, take_in):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_bytes(lines())
    file = tmp_path / "in" / "b.parquet"
    pq.write_table(pa.table({"text": ["a" * 100, "b"] * 1000}), file)
    content = bytearray(file.read_bytes())
    content[4:64] = bytes(255 - byte for byte in content[4:64])
    file.write_bytes(content)
    assert take_in(tmp_path / "in", max_bad=1)[1] == {"unreadable": 2000}
    assert rejects(tmp_path)[0]["place"] == "in/b.parquet"
    with pytest.raises(ValueError, match=r"98\.0% of the records"):
        take_in(tmp_path / "in")


def zipped(file: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name) if "\\" in name else name, content)
    return file


def bomb(num_bytes: int) -> bytes:
    return (b'{"text": "' + b"a" * 1000 + b'"}\n') * (num_bytes // 1013)


def test_bombs_are_stopped_at_their_ratio_however_deep_they_lie(tmp_path, take_in, monkeypatch):
    monkeypatch.setattr("components.data.sources.source._RATIO_FLOOR", 1 << 20)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_bytes(lines())
    packed = gzip.compress(bomb(4 << 20))
    (tmp_path / "in" / "b.jsonl.gz").write_bytes(packed)
    zipped(tmp_path / "in" / "c.zip", {"a.jsonl": bomb(4 << 20)})
    zipped(tmp_path / "in" / "d.zip", {f"{n}.jsonl": bomb(1 << 20) for n in range(9)})
    zipped(
        tmp_path / "in" / "e.zip",
        {"e.zip": zipped(tmp_path / "e", {"a.jsonl": bomb(4 << 20)}).read_bytes()},
    )
    (tmp_path / "in" / "f.jsonl.gz.gz").write_bytes(gzip.compress(packed))
    texts, rejected = take_in(tmp_path / "in")
    assert rejected == {"archive limit": 5}
    assert len(texts) < 10_000  # of 25,000
    assert not list((tmp_path / "state").iterdir())


def test_zstandard_of_a_window_of_gigabytes_is_read_where_there_is_the_memory(tmp_path, take_in):
    """A frame without its size, a window of 2 GB, and one raw block (RFC 8878)."""
    block = lines()
    header = (len(block) << 3 | 1).to_bytes(3, "little")
    (tmp_path / "a.jsonl.zst").write_bytes(bytes.fromhex("28b52ffd00a8") + header + block)
    if psutil.virtual_memory().available > 5 << 30:
        assert take_in(tmp_path / "a.jsonl.zst")[0] == [row["text"] for row in GOOD]
    larger = bytes.fromhex("28b52ffd00b0")  # 4 GB, which no machine reads
    (tmp_path / "a.jsonl.zst").write_bytes(larger + header + block)
    with pytest.raises(ValueError, match=r"zstd --long.*zstd -d --long=31"):
        take_in(tmp_path / "a.jsonl.zst")


def test_archives_in_archives_and_entries_have_limits(tmp_path, take_in, monkeypatch):
    content = b"words"
    for depth in range(5):
        content = zipped(
            tmp_path / "a.zip", {f"{depth}.zip" if depth else "a.txt": content}
        ).read_bytes()
    with pytest.raises(ValueError, match="archive limit"):
        take_in(tmp_path / "a.zip")
    monkeypatch.setattr(archives, "MAX_ENTRIES", 3)
    zipped(tmp_path / "b.zip", {f"{n}.txt": b"words" for n in range(5)})
    assert take_in(tmp_path / "b.zip", max_bad=0.5)[1] == {"archive limit": 1}
    monkeypatch.setattr(archives, "_MAX_DIRECTORY_BYTES", 100)
    with pytest.raises(ValueError, match=r"a directory of \d+ bytes"):
        take_in(tmp_path / "b.zip")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_entries_that_lead_out_are_refused_and_nothing_is_written(tmp_path, take_in, kind):
    names = [
        "../up.txt",
        "/etc/abs.txt",
        "a/../../b.txt",
        "c:\\windows.txt",
        "..\\back.txt",
        "ok.txt",
    ]
    file = tmp_path / "deep" / "in" / f"a.{kind}"
    file.parent.mkdir(parents=True)
    if kind == "zip":
        zipped(file, dict.fromkeys(names, b"words"))
        with zipfile.ZipFile(file, "a") as archive:
            link = zipfile.ZipInfo("link.txt")
            link.external_attr = 0o120777 << 16
            archive.writestr(link, "/etc/passwd")
    else:
        with tarfile.open(file, "w") as archive:
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = 5
                archive.addfile(info, io.BytesIO(b"words"))
            for number, type_ in enumerate(
                (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)
            ):
                info = tarfile.TarInfo(f"link{number}.txt")
                info.type, info.linkname = type_, "/etc/passwd"
                archive.addfile(info)
    before = {p for p in tmp_path.rglob("*")}
    texts, rejected = take_in(file, max_bad=1)
    assert texts == ["words"]
    assert rejected == {"unsafe entry": 6 if kind == "zip" else 9}
    assert {p for p in tmp_path.rglob("*")} - before <= {
        tmp_path / "rejects.jsonl",
        tmp_path / "state",
    }


def test_a_tar_header_that_is_a_bomb_itself_is_refused(tmp_path, take_in):
    info = tarfile.TarInfo("a.txt")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    (tmp_path / "a.tar").write_bytes(info.tobuf() + bytes(4096))
    with pytest.raises(ValueError, match="a header of 1073741824 bytes"):
        take_in(tmp_path / "a.tar")


_MEASURE = """
import resource, sys
from pathlib import Path
from components.data.sources.reading import read
from components.data.sources.source import Reading, Source
import pyarrow, warcio.exceptions
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
for name in sys.argv[1:]:
    for unit in ("file", "line") if name.endswith("txt") else ("file",):
        found = list(read(Reading(Source(location=name, unit=unit), "mine", Path("state"))))
        print(name.rpartition(".")[2], [getattr(each, "reason", "good") for each in found])
print("grown", peak() - before)
"""


def test_a_line_of_500_mb_takes_no_more_memory_than_the_limit_of_a_record(tmp_path):
    head = b'{"text": "' + b"a" * 70_000  # beyond what a look at the beginning sees
    names = []
    for kind in ("jsonl", "json", "txt", "csv"):
        file = tmp_path / f"a.{kind}"
        with file.open("wb") as stream:
            stream.write(b"text\n" if kind == "csv" else head)
            if kind == "csv":
                stream.write(b"a" * 70_000)
            stream.seek(500_000_000)
            stream.write(b'"}\n{"text": "good"}\n')
        names.append(str(file))
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    *found, grown = done.stdout.splitlines()
    assert found == [
        "jsonl ['too long', 'good']",
        "json ['too long', 'good']",
        "txt ['too long']",
        "txt ['too long', 'good']",
        "csv ['too long', 'good']",
    ]
    assert int(grown.split()[1]) < 100


def test_a_source_that_vanishes_half_way_stops_the_ingest(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(lines())
    (tmp_path / "b.jsonl").write_bytes(lines())
    found = read(Reading(Source(location=str(tmp_path)), "mine", tmp_path / "state"))
    assert isinstance(next(found), Document)
    (tmp_path / "b.jsonl").rename(tmp_path / "gone")
    with pytest.raises((SourceGone, FileNotFoundError), match=r"b\.jsonl"):
        list(found)
