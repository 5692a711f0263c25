"""Choose: the smallest export within the budget; what breaks, or is small in name alone, is not."""

import json

import pytest

from components.compress.choose import Choose, ChooseInputs
from components.compress.comparison.candidates import Candidate, Refused
from components.core.artifacts.models import Checkpoint, CompressedModel
from components.core.artifacts.reports import FidelityReport

_SOUND = {
    "bits_per_byte": 1.005,
    "divergence": 0.01,
    "flipped": 0.02,
    "margin_kept": 0.98,
    "coverage": 1.0,
}


@pytest.fixture
def candidate(tmp_path, checkpoint):
    def make(method: str, num_bytes: int, speed: float = 100.0, exported=True, **changes):
        folder = tmp_path / method
        (folder / "export").mkdir(parents=True)
        (folder / "export" / "model.onnx").write_bytes(b"x" * num_bytes)
        (folder / "report" / "report").mkdir(parents=True)
        (folder / "report" / "report" / "fidelity.json").write_text(json.dumps(method))
        small = CompressedModel(
            path=folder / "export",
            fingerprint=method,
            num_parameters=10,
            bytes_on_disk=num_bytes,
            decode_tokens_per_second=speed,
            original_bytes_on_disk=400,
            original_decode_tokens_per_second=50.0,
        )
        report = FidelityReport(
            path=folder / "report",
            model=method,
            bytes_on_disk=num_bytes,
            original_bits_per_byte=1.0,
            decisions_flipped=0.0,
            decode_tokens_per_second=speed,
            original_decode_tokens_per_second=50.0,
            first_token_seconds=0.01,
            original_first_token_seconds=0.02,
            joules_per_token=0.1,
            original_joules_per_token=0.2,
            **{**_SOUND, **changes},
        )
        model = small if exported else checkpoint
        return Candidate(method=method, model=model, report=report)

    return make


@pytest.fixture
def choose(tmp_path, checkpoint: Checkpoint):
    def run(*candidates, refused=(), **budget) -> CompressedModel:
        (out := tmp_path / "chosen").mkdir(exist_ok=True)
        inputs = ChooseInputs(original=checkpoint, candidates=candidates, refused=refused)
        return Choose(**budget).run(inputs, out)

    return run


def _size(chosen: CompressedModel) -> int:
    return (chosen.path / "model.onnx").stat().st_size


def test_the_smallest_within_the_budget_is_taken_or_the_fastest(candidate, choose) -> None:
    made = [candidate("large", 90, 300), candidate("small", 40), candidate("bad", 9, divergence=1)]
    chosen = choose(*made, max_divergence=0.1)
    assert _size(chosen) == chosen.bytes_on_disk == 40
    assert json.loads((chosen.path / "fidelity.json").read_text()) == "small"
    assert _size(choose(*made, max_divergence=0.1, prefer="fastest")) == 90
    assert _size(choose(*made)) == 9


@pytest.mark.parametrize(
    ("change", "budget"),
    [
        ({"bits_per_byte": 1.02}, {}),
        ({"bits_per_byte": float("nan")}, {}),
        ({"divergence": float("inf")}, {"max_divergence": 0.05}),
        ({"flipped": 0.2}, {"max_flipped": 0.1}),
        ({"margin_kept": 0.3}, {}),
        ({"margin_kept": float("-inf")}, {}),
        ({"coverage": 0.4}, {}),
        ({"exported": False}, {}),
    ],
    ids=str,
)
def test_what_breaks_the_budget_is_never_taken(candidate, choose, change, budget) -> None:
    made = [candidate("broken", 9, **change), candidate("sound", 90)]
    assert _size(choose(*made, **budget)) == 90


def test_if_nothing_fits_each_is_told_with_its_reason(candidate, choose) -> None:
    made = [candidate("int4", 9, bits_per_byte=1.2), candidate("half", 5, exported=False)]
    refused = (Refused(method="gguf", reason="Its width is 12."),)
    with pytest.raises(ValueError) as error:
        choose(*made, refused=refused)
    said = str(error.value)
    assert "int4: bits per byte +20.00%" in said
    assert "half: it is no export" in said
    assert "gguf: Its width is 12." in said
    assert "--set compress.choose.max_bits_per_byte_increase" in said


def test_the_page_the_picture_and_the_rows_show_all_that_was_tried(candidate, choose) -> None:
    made = [
        candidate("int8", 40),
        candidate("slow", 50, 20.0),
        candidate("half", 20, exported=False),
    ]
    chosen = choose(*made, refused=(Refused(method="gguf", reason="No."),))
    report = chosen.path / "report"
    page = (report / "frontier.md").read_text()
    assert "| int8 " in page and "chosen |" in page and "Not possible: gguf. No." in page
    assert (report / "frontier.png").read_bytes().startswith(b"\x89PNG")
    told = json.loads((report / "frontier.json").read_text())
    rows = {row["method"]: row for row in told["candidates"]}
    assert [name for name, row in rows.items() if row["is_chosen"]] == ["int8"]
    assert not rows["slow"]["is_on_frontier"]
    assert rows["half"]["is_on_frontier"]
    assert rows["half"]["objections"] == ["it is no export"]
    assert told["refused"] == [{"method": "gguf", "reason": "No."}]
