"""Datasets as `datasets` saves them, and folders that it can load."""

import gzip
import json

import pytest

from components.data.sources.reading import read
from components.data.sources.source import Reading, Source


def read_all(location, folder, **how):
    return list(read(Reading(Source(location=str(location), **how), "mine", folder)))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    import datasets

    folder = tmp_path_factory.mktemp("datasets") / "letters"
    train = datasets.Dataset.from_dict({"text": ["one", "two"], "year": [1, 2], "x": [[1], [2]]})
    datasets.DatasetDict({"train": train, "test": train.select([1])}).save_to_disk(str(folder))
    return folder


def test_a_saved_dataset_is_read_split_by_split_named_or_found(saved, tmp_path):
    for location in (saved, f"hf://{saved}"):
        found = read_all(location, tmp_path)
        assert [(d.id, d.text) for d in found] == [
            ("mine/letters/train#1", "one"),
            ("mine/letters/train#2", "two"),
        ]
        assert found[1].metadata == {"source": "letters", "row": 2, "year": 2}
    [found] = read_all(saved / "test", tmp_path)
    assert found.text == "two"
    [found] = read_all(saved, tmp_path, split="test")
    assert found.id == "mine/letters/test#1"


def test_a_folder_of_files_is_streamed_as_datasets_loads_it(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "train.jsonl").write_text(
        "".join(json.dumps({"text": f"t{n}"}) + "\n" for n in (1, 2))
    )
    assert [d.text for d in read_all(f"hf://{folder}", tmp_path)] == ["t1", "t2"]


def test_a_split_or_a_dataset_that_is_not_there_is_refused(saved, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"no split 'dev'; there are train, test"):
        read_all(saved, tmp_path, split="dev")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match=r"hf://owner/none cannot be had.*set HF_HUB_OFFLINE=0"):
        read_all("hf://owner/none", tmp_path)


def test_every_row_of_a_stream_comes_once_past_three_buffers(tmp_path):
    """`datasets` 5.2.0 loses and repeats rows of a shuffled stream that goes on past its first."""
    import datasets

    folder = tmp_path / "many"
    folder.mkdir()
    for part in range(4):
        rows = {"text": [f"row {part * 1000 + n}" for n in range(1000)], "n": list(range(1000))}
        datasets.Dataset.from_dict(rows).to_parquet(str(folder / f"train-{part}.parquet"))
    found = read_all(f"hf://{folder}", tmp_path)
    assert [each.text for each in found] == [f"row {number}" for number in range(4000)]
    assert [each.metadata["row"] for each in found] == list(range(1, 4001))


@pytest.mark.parametrize("kind", ["lines", "array", "gzip"])
def test_dates_and_large_numbers_of_a_json_column_stay_what_stands_there(tmp_path, kind):
    folder = tmp_path / "dates"
    folder.mkdir()
    rows = [
        {"text": f"2024-01-{day:02}", "at": "2024-05-06T07:08:09", "id": 2**63 + day, "zip": "007"}
        for day in range(1, 29)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    if kind == "array":
        (folder / "train.json").write_text(json.dumps(rows))
    elif kind == "gzip":
        (folder / "train.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    else:
        (folder / "train.jsonl").write_text(lines)
    found = read_all(f"hf://{folder}", tmp_path)
    assert [each.text for each in found] == [row["text"] for row in rows]
    assert [each.metadata["id"] for each in found] == [row["id"] for row in rows]
    assert {each.metadata["at"] for each in found} == {"2024-05-06T07:08:09"}
    assert {each.metadata["zip"] for each in found} == {"007"}


def test_a_damaged_line_of_json_is_one_reject_and_the_rest_is_read(tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"text": "one"}\n{"text": \n{"text": "two"}\n')
    found = read_all(f"hf://{folder}", tmp_path)
    assert [
        getattr(each, "text", each.reason if hasattr(each, "reason") else "") for each in found
    ] == [
        "one",
        "not JSON",
        "two",
    ]
