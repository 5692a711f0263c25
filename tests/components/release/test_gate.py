"""The gate: each threshold stops what it must stop, says so, and lets the rest pass."""

import json
import math
from pathlib import Path

import pytest

from components.core.artifacts.reports import (
    BaselineReport,
    Budget,
    Interval,
    ProbeReport,
    StageReport,
)
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


STAGES = {
    "pretrain": (_report("pretrained", 0.0, 2.0), Budget()),
    "finetune": (_report("finetuned", 0.50, 2.1), Budget()),
    "align": (_report("aligned", 0.60, 2.2), Budget(max_accuracy_loss=0.02)),
    "compress": (
        _report("compressed", 0.59, 2.22),
        Budget(max_accuracy_loss=0.03, max_bits_per_byte_increase=0.02),
    ),
}
BASELINES = BaselineReport(path=Path("/nowhere/n"), unigram=4.0, trigram=3.0)

PLANTED = {
    "worse than a trigram": (
        {"pretrain": _report("pretrained", 0.0, 3.1)},
        "pretrain: bits per byte above the trigram's: 0.1000 against at most 0.0000, "
        "fails by 0.1000",
    ),
    "alignment made it dumber": (
        {"finetune": _report("finetuned", 0.65, 2.1)},
        "align: accuracy lost: 0.0500 against at most 0.0200, fails by 0.0300",
    ),
    "compression cost too many bits": (
        {"compress": _report("compressed", 0.59, 2.31)},
        "compress: bits per byte added, as a share: 0.0500 against at most 0.0200, fails by 0.0300",
    ),
    "compression cost too much accuracy": (
        {"compress": _report("compressed", 0.50, 2.2)},
        "compress: accuracy lost: 0.1000 against at most 0.0300, fails by 0.0700",
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


def _decide(tmp_path, gate: Gate | None = None, champion: ProbeReport | None = None, **changes):
    ledger = [
        StageReport(stage=stage, report=changes.get(stage, report), budget=budget)
        for stage, (report, budget) in STAGES.items()
    ]
    inputs = GateInputs(baselines=BASELINES, ledger=tuple(ledger), champion=champion)
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
        pretrain=_report("pretrained", 0.0, 3.1),
        compress=_report("compressed", 0.3, 4.0),
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


@pytest.mark.parametrize("name", ["pretrain", "align", "compress"])
def test_a_model_that_scores_no_number_never_passes(tmp_path, name):
    broken = _report(name, 0.59, math.nan)
    assert not _decide(tmp_path, **{name: broken})[0].passed
    lost = _report(name, math.nan, 2.2)
    if name != "pretrain":  # nobody asks for a base model's accuracy
        assert not _decide(tmp_path, **{name: lost})[0].passed


def test_a_gain_makes_up_for_nothing_else(tmp_path):
    """The candidate answers much better, and reads text much worse."""
    verdict, _ = _decide(tmp_path, compress=_report("compressed", 0.99, 3.0))
    assert len(verdict.failures) == 1
    assert verdict.failures[0].startswith("compress: bits per byte added")


def test_a_stage_that_is_left_out_is_not_asked_for(tmp_path):
    (report, budget) = STAGES["pretrain"]
    alone = (StageReport(stage="pretrain", report=report, budget=budget),)
    inputs = GateInputs(baselines=BASELINES, ledger=alone, champion=None)
    assert Gate().run(inputs, tmp_path).passed


def test_a_stage_may_be_asked_for_a_gain(tmp_path):
    (report, _) = STAGES["finetune"]
    before = StageReport(stage="pretrain", report=STAGES["pretrain"][0])
    for gain, passes in ((-0.5, True), (-0.51, False)):
        after = StageReport(stage="finetune", report=report, budget=Budget(max_accuracy_loss=gain))
        inputs = GateInputs(baselines=BASELINES, ledger=(before, after), champion=None)
        assert Gate().run(inputs, tmp_path).passed is passes


@pytest.mark.parametrize(("after", "passes"), [(1.09, True), (1.2, False)])
def test_what_is_forgotten_of_a_text_is_held_against_the_first_model(tmp_path, after, passes):
    first = _report("pretrained", 0.0, 2.0).model_copy(update={"texts": {"wiki": 1.0}})
    second = _report("finetuned", 0.5, 2.0).model_copy(update={"texts": {"wiki": 1.05}})
    third = _report("aligned", 0.6, 2.0).model_copy(update={"texts": {"wiki": after}})
    budget = Budget(max_forgetting=0.1)
    ledger = (
        StageReport(stage="pretrain", report=first),
        StageReport(stage="finetune", report=second, budget=budget),
        StageReport(stage="align", report=third, budget=budget),
    )
    verdict = Gate().run(GateInputs(baselines=BASELINES, ledger=ledger, champion=None), tmp_path)
    assert verdict.passed is passes
    if not passes:
        assert verdict.failures == (
            "align: bits per byte on wiki since pretrain, as a share: 0.2000 against at most "
            "0.1000, fails by 0.1000",
        )
