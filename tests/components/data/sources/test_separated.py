import pytest

from components.data.document import Document
from components.data.sources.intake import Intake
from components.data.sources.preview import preview
from components.data.sources.reading import read
from components.data.sources.source import Reading, Source

TEXTS = [f"Ship {number} came in with grain, and left at noon" for number in range(60)]


def found_in(file, **how):
    reading = Reading(Source(location=str(file), **how), "mine", file.parent / "state")
    return [each for each in read(reading)]


def texts_in(file, **how):
    return [each.text for each in found_in(file, **how) if isinstance(each, Document)]


FILES = {
    "semicolons": "id;text\n" + "\n".join(f"{n};{t}" for n, t in enumerate(TEXTS)),
    "tabs": "id\ttext\n" + "\n".join(f"{n}\t{t}" for n, t in enumerate(TEXTS)),
    "bars": "id|text\n" + "\n".join(f"{n}|{t}" for n, t in enumerate(TEXTS)),
    "commas": "id,text\n" + "\n".join(f'{n},"{t}"' for n, t in enumerate(TEXTS)),
    "hint of Excel": "sep=;\r\nid;text\r\n" + "\r\n".join(f"{n};{t}" for n, t in enumerate(TEXTS)),
    "no header, commas": "\n".join(f'{n},"{t}",2024-05-06' for n, t in enumerate(TEXTS)),
    "no header, semicolons": "\n".join(f"{n};{t};x" for n, t in enumerate(TEXTS)),
    "no header, tabs": "\n".join(f"{t}\t{n}" for n, t in enumerate(TEXTS)),
    "no header, one column": "\n".join(f'"{t}"' for t in TEXTS),
}


@pytest.mark.parametrize("name", FILES)
def test_every_row_is_read_however_the_file_is_written(tmp_path, name):
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        file = tmp_path / f"{encoding}.csv"
        file.write_bytes(FILES[name].encode(encoding))
        assert texts_in(file) == TEXTS


def test_the_first_row_of_a_file_without_a_header_is_a_document_with_its_columns(tmp_path):
    (tmp_path / "a.csv").write_text(FILES["no header, commas"])
    first = found_in(tmp_path / "a.csv")[0]
    assert first.text == TEXTS[0]
    assert first.metadata["1"] == 0
    assert first.metadata["3"] == "2024-05-06"


def test_two_columns_of_text_without_names_are_asked_for_by_number(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("\n".join(f'"{t}","{t} again"' for t in TEXTS))
    intake = Intake(Reading(Source(location=str(file)), "mine", tmp_path), tmp_path / "rejects")
    with pytest.raises(ValueError, match=r"number of the column with --text-column.*1 \('Ship"):
        list(intake.documents())
    assert texts_in(file, text_column="2") == [f"{t} again" for t in TEXTS]


def test_the_options_have_the_last_word_on_separator_and_header(tmp_path):
    file = tmp_path / "a.dat"
    file.write_text("text;b\none;two\n")
    assert texts_in(file, reader="csv", separator="semicolon") == ["one"]
    named = {"reader": "csv", "separator": "semicolon", "header": "no", "text_column": "2"}
    assert texts_in(file, **named) == ["b", "two"]
    assert texts_in(file, reader="text") == ["text;b\none;two\n"]


def test_names_that_hold_no_text_column_stay_names(tmp_path):
    (tmp_path / "a.csv").write_text("id,body\n1,words\n2,more words\n")
    found = found_in(tmp_path / "a.csv")
    assert [each.reason for each in found] == ["no text column"] * 2
    assert "body, id" in found[0].detail


def test_a_dry_run_says_how_a_file_of_rows_is_written(tmp_path):
    (tmp_path / "a.csv").write_text(FILES["no header, semicolons"])
    (tmp_path / "b.csv").write_text(FILES["tabs"])
    shown = preview("mine", Source(location=str(tmp_path)), tmp_path / "state")
    assert [file.reader for file in shown.files] == [
        "CSV, a semicolon between columns, no header row, text in column 2",
        "CSV, a tab between columns",
    ]
    assert shown.documents[0].text == TEXTS[0]


def test_nuls_at_the_end_count_as_the_rows_that_they_took_the_place_of(tmp_path):
    content = FILES["commas"].encode() + b"\n"
    (tmp_path / "a.csv").write_bytes(content + bytes(len(content)))
    *documents, rejected = found_in(tmp_path / "a.csv")
    assert len(documents) == 60
    assert rejected.reason == "NULs at the end"
    assert 55 <= rejected.count <= 65
