from pathlib import Path

import pytest

from components.core.record import Record, write_record
from components.core.tracking import spool
from dashboards.text.made import made


def _step(folder: Path, artifact: dict[str, object]) -> Path:
    record = {"component": "x", "version": "1.0.0", "fingerprint": "ab", "config": {}}
    record |= {"inputs": {}, "artifact": artifact, "files": {}, "seed": None, "seconds": 1.0}
    record |= {"packages": {}, "git_revision": None, "data_revision": None, "mlflow_run_id": None}
    write_record(Record.model_validate(record), folder)
    return folder


@pytest.mark.parametrize(
    ("artifact", "said"),
    [
        ({"num_parameters": 630_000, "bytes_on_disk": 2_500_000}, "0.63 M parameters, 2.5 MB"),
        ({"bits_per_byte": 1.871, "accuracy": 0.398}, "1.87 bits per byte, 39.8 % of the micro"),
        ({"num_documents": {"train": 1000, "test": 24}}, "1,024 documents"),
        ({"trigram": 1.655, "unigram": 3.4}, "1.66 bits per byte by trigrams"),
        ({"passed": False, "failures": ["accuracy lost: 0.5"]}, "not passed: accuracy lost: 0.5"),
        (
            {"name": "otter", "registered_version": 3, "alias": "champion"},
            "otter version 3, champion",
        ),
        ({"title": "nothing to count"}, ""),
    ],
)
def test_a_step_is_said_in_a_few_numbers(tmp_path, artifact, said):
    shown = made(_step(tmp_path, artifact))
    assert shown.startswith(said) if said else shown == ""


def test_a_training_says_what_it_came_to_on_held_out_text(tmp_path):
    spool.append(tmp_path, 1, {"validation_bits_per_byte": 3.0})
    spool.append(tmp_path, 9, {"validation_bits_per_byte": 1.601})
    shown = made(_step(tmp_path, {"num_parameters": 630_000}))
    assert shown == "1.60 bits per byte, 0.63 M parameters"


def test_a_step_that_is_not_done_says_nothing(tmp_path):
    assert made(tmp_path) == ""
