"""The gate on data: each bound with its numbers, and drift that is as large as it should be."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from components.core.artifacts.data import DataCard
from components.data.validate import Bound, Validate, ValidateInputs, divergence

MEASURES = {"documents": 100.0, "tokens": 5000.0, "duplicate_rate": 0.02, "language.en": 0.9}


def _card(folder, words=None, languages=None, **measures: float) -> DataCard:
    (folder / "report").mkdir(parents=True)
    statistics = {
        "words": {"64-127": 10, "128-255": 20},
        "languages": languages or {"en": 90, "de": 10},
        "ngrams": {"1": words or {"the": 5, "cat": 1}},
    }
    (folder / "report" / "card.json").write_text(json.dumps({"statistics": statistics}))
    return DataCard(path=folder, num_documents=100, num_tokens=5000, measures=MEASURES | measures)


def _judged(tmp_path, *bounds: Bound, previous: DataCard | None = None, **measures: float):
    inputs = ValidateInputs(card=_card(tmp_path / "card", **measures), previous=previous)
    return Validate(bounds=bounds).run(inputs, tmp_path)


def test_a_card_within_its_bounds_passes(tmp_path):
    verdict = _judged(tmp_path, Bound(measure="tokens", low=5000, high=5000))
    assert verdict.passed
    assert verdict.failures == ()


def test_each_breach_is_a_sentence_with_the_numbers(tmp_path):
    verdict = _judged(
        tmp_path,
        Bound(measure="documents", low=101),
        Bound(measure="duplicate_rate", high=0.01),
        Bound(measure="language.fr", low=0.05),
        Bound(measure="tokens", low=1),
    )
    assert not verdict.passed
    assert verdict.failures == (
        "documents is 100, below the least, 101",
        "duplicate_rate is 0.02, above the greatest, 0.01",
        "language.fr is 0, below the least, 0.05",
    )


def test_within_its_tolerance_a_miss_is_noted_and_passes(tmp_path):
    bound = Bound(measure="documents", low=105, tolerance=0.05)
    assert _judged(tmp_path, bound).passed
    (row,) = json.loads((tmp_path / "report" / "verdict.json").read_text())["bounds"]
    assert (row["holds"], row["within_tolerance"]) == (False, True)
    assert not _judged(tmp_path / "more", bound, documents=99.0).passed


def test_an_unknown_measure_is_an_error_with_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"No measure 'tokenz' to bound.*tokens"):
        _judged(tmp_path, Bound(measure="tokenz", low=1))


def test_a_bound_that_bounds_nothing_is_refused():
    with pytest.raises(ValueError, match="neither `low` nor `high`"):
        Bound(measure="tokens")
    with pytest.raises(ValueError, match=r"low 2\.0 is above high 1\.0"):
        Bound(measure="tokens", low=2, high=1)


def test_drift_is_measured_against_the_revision_before_and_else_left_out(tmp_path):
    bound = Bound(measure="drift.languages", high=0.1)
    assert _judged(tmp_path / "alone", bound).passed
    same = _card(tmp_path / "same")
    assert _judged(tmp_path / "stayed", bound, previous=same).passed
    other = _card(tmp_path / "other", languages={"fr": 50, "en": 50})
    verdict = _judged(tmp_path / "moved", bound, previous=other)
    assert not verdict.passed
    assert verdict.failures[0].startswith("drift.languages is 0.3")


counts = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 100), min_size=1)


@given(left=counts, right=counts)
def test_divergence_is_that_of_scipy(left, right):
    names = sorted({*left, *right})
    rows = [np.array([side.get(name, 0) for name in names], float) for side in (left, right)]
    assert divergence(left, right) == pytest.approx(jensenshannon(*rows, base=2) ** 2, abs=1e-9)


def test_the_ends_of_divergence_are_equal_and_nothing_in_common():
    assert divergence({"a": 2, "b": 4}, {"b": 8, "a": 4}) == pytest.approx(0)
    assert divergence({"a": 1}, {"b": 7}) == pytest.approx(1)
    assert (divergence({}, {"a": 1}), divergence({}, {})) == (1.0, 0.0)
