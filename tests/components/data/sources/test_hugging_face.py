"""Datasets as `datasets` saves them, and folders that it can load."""

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
