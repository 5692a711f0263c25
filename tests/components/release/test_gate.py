"""The gate: each threshold stops what it must stop, says so, and lets the rest pass."""

import json
import math
from pathlib import Path

import pytest

from components.core.artifacts.reports import BaselineReport, Interval, ProbeReport
from components.release.gate import Gate, GateInputs


def _report(name: str, accuracy: float, bits_per_byte: float) -> ProbeReport:
    return ProbeReport(
        path=Path(f"/nowhere/{name}"),
        model=name,
        bits_per_byte=bits_per_byte,
        accuracy=accuracy,
        accuracy_interval=Interval(low=0.0, high=1.0),
        accuracy_by_task={},
    )


SOUND = {
    "baselines": BaselineReport(path=Path("/nowhere/n"), unigram=4.0, trigram=3.0),
    "pretrained": _report("pretrained", 0.0, 2.0),
    "finetuned": _report("finetuned", 0.50, 2.1),
    "aligned": _report("aligned", 0.60, 2.2),
    "compressed": _report("compressed", 0.59, 2.22),
    "champion": None,
}

PLANTED = {
    "worse than a trigram": (
        {"pretrained": _report("pretrained", 0.0, 3.1)},
        "base model's bits per byte above the trigram's: 0.1000 against at most 0.0000, "
        "fails by 0.1000",
    ),
    "alignment made it dumber": (
        {"finetuned": _report("finetuned", 0.65, 2.1)},
        "accuracy lost by alignment: 0.0500 against at most 0.0200, fails by 0.0300",
    ),
    "compression cost too many bits": (
        {"compressed": _report("compressed", 0.59, 2.31)},
        "relative bits per byte added by compression: 0.0500 against at most 0.0200, "
        "fails by 0.0300",
    ),
    "compression cost too much accuracy": (
        {"compressed": _report("compressed", 0.50, 2.2)},
        "accuracy lost by compression: 0.1000 against at most 0.0300, fails by 0.0700",
    ),
    "as accurate as the champion, but worse at text": (
        {"champion": _report("champion", 0.59, 2.10)},
        "bits per byte above the champion's, at equal accuracy: 0.1200 against at most 0.0000, "
        "fails by 0.1200",
    ),
    "the champion is better": (
        {"champion": _report("champion", 0.69, 2.0)},
        "champion's accuracy over the candidate's: 0.1000 against at most 0.0000, fails by 0.1000",
    ),
}


def _decide(tmp_path, gate: Gate | None = None, **changes):
    inputs = GateInputs.model_validate({**SOUND, **changes})
    verdict = (gate or Gate()).run(inputs, tmp_path)
    return verdict, json.loads((tmp_path / "verdict.json").read_text())


def test_a_sound_model_passes_and_every_threshold_is_on_record(tmp_path):
    verdict, written = _decide(tmp_path)
    assert verdict.passed
    assert verdict.failures == ()
    assert written["passed"] is True
    assert [check["holds"] for check in written["checks"]] == [True] * 4


@pytest.mark.parametrize(("changes", "sentence"), PLANTED.values(), ids=PLANTED)
def test_each_damage_is_stopped_by_its_own_threshold_alone_and_named(tmp_path, changes, sentence):
    verdict, written = _decide(tmp_path, **changes)
    assert not verdict.passed
    assert verdict.failures == (sentence,)
    assert written["passed"] is False
    assert [check["holds"] for check in written["checks"]].count(False) == 1


def test_several_damages_are_all_named(tmp_path):
    verdict, _ = _decide(
        tmp_path,
        pretrained=_report("pretrained", 0.0, 3.1),
        compressed=_report("compressed", 0.3, 4.0),
    )
    assert len(verdict.failures) == 3


def test_a_candidate_as_good_as_the_champion_passes_unless_more_is_asked(tmp_path):
    champion = _report("champion", 0.59, 2.22)
    assert _decide(tmp_path, champion=champion)[0].passed
    strict = Gate(min_improvement=0.01)
    verdict, _ = _decide(tmp_path, strict, champion=champion)
    assert verdict.failures == (
        "champion's accuracy over the candidate's: 0.0000 against at most -0.0100, fails by 0.0100",
    )
    assert _decide(tmp_path, strict, champion=_report("champion", 0.57, 2.22))[0].passed


def test_without_a_champion_nothing_is_compared_with_one(tmp_path):
    assert _decide(tmp_path, Gate(min_improvement=1.0))[0].passed


@pytest.mark.parametrize("name", ["pretrained", "aligned", "compressed"])
def test_a_model_that_scores_no_number_never_passes(tmp_path, name):
    broken = _report(name, 0.59, math.nan)
    assert not _decide(tmp_path, **{name: broken})[0].passed
    lost = _report(name, math.nan, 2.2)
    if name != "pretrained":  # nobody asks for a base model's accuracy
        assert not _decide(tmp_path, **{name: lost})[0].passed


def test_a_gain_makes_up_for_nothing_else(tmp_path):
    """The candidate answers much better, and reads text much worse."""
    verdict, _ = _decide(tmp_path, compressed=_report("compressed", 0.99, 3.0))
    assert len(verdict.failures) == 1
    assert "compression" in verdict.failures[0]
