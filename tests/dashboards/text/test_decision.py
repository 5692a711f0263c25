from components.core.artifacts.reports import Interval
from dashboards.text.decision import Contender, decision


def _model(title: str, **changes: object) -> Contender:
    values = {
        "title": title,
        "bits_per_byte": 1.871,
        "accuracy": 0.398,
        "accuracy_interval": Interval(low=0.352, high=0.444),
        "bytes_on_disk": 800_000,
        "decode_tokens_per_second": 10_952.4,
        "num_parameters": 630_000,
    }
    return Contender.model_validate(values | changes)


def _rows(shown: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in shown.splitlines()]


def test_the_candidate_stands_beside_the_champion_in_five_numbers() -> None:
    champion = _model("champion (version 3)", bits_per_byte=1.9, decode_tokens_per_second=9000.0)
    interval = Interval(low=0.01, high=0.05)
    shown = decision(_model("candidate"), champion, interval, "http://here/artifact")
    rows = _rows(shown)
    assert rows[0] == ["", "candidate", "champion (version 3)"]
    assert ["bits per byte", "1.871", "1.900"] in rows
    assert ["accuracy (95 %)", "39.8% (35.2 to 44.4)", "39.8% (35.2 to 44.4)"] in rows
    assert ["size", "0.8 MB", "0.8 MB"] in rows
    assert ["decode tokens/s", "10,952", "9,000"] in rows
    assert ["parameters", "0.63 M", "0.63 M"] in rows
    assert "+1.0 to +5.0 points (95 %), better" in shown
    assert shown.endswith("[The whole scorecard](http://here/artifact)")
    assert len(shown.splitlines()) < 12, "the form would be below the fold"


def test_what_was_not_measured_has_no_row_and_a_first_model_no_champion() -> None:
    candidate = _model("candidate", decode_tokens_per_second=None)
    shown = decision(candidate, None, None, "http://here")
    assert "decode" not in shown
    assert "There is no champion yet" in shown


def test_an_interval_around_nothing_is_not_told_apart() -> None:
    shown = decision(_model("a"), _model("b"), Interval(low=-0.02, high=0.01), "http://here")
    assert "-2.0 to +1.0 points (95 %), not told apart" in shown
