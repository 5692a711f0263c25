"""The spool: what is appended is what a reader gets, whatever was cut off or written again."""

import json

from components.core.tracking import spool


def _points(out, offset=0):
    return [(point["step"], point["metrics"]) for _, point in spool.read(out, offset)]


def test_a_reader_gets_every_point_in_order_with_the_time_it_was_written(tmp_path):
    assert _points(tmp_path) == []
    spool.append(tmp_path, 1, {"loss": 2.5})
    spool.append(tmp_path, 2, {"loss": 2.25, "norm": 1.0})
    assert _points(tmp_path) == [(1, {"loss": 2.5}), (2, {"loss": 2.25, "norm": 1.0})]
    times = [point["time"] for _, point in spool.read(tmp_path)]
    assert times == sorted(times)
    assert times[0] > 1.7e9


def test_a_reader_goes_on_from_where_it_was_and_waits_for_the_end_of_a_line(tmp_path):
    spool.append(tmp_path, 1, {"loss": 2.0})
    ((offset, _),) = spool.read(tmp_path)
    line = json.dumps({"step": 2, "time": 0.0, "metrics": {"loss": 1.0}}) + "\n"
    with (tmp_path / spool.SPOOL).open("a") as stream:
        stream.write(line[:20])
        stream.flush()
        assert _points(tmp_path, offset) == [], "half a line was read"
        stream.write(line[20:])
    assert _points(tmp_path, offset) == [(2, {"loss": 1.0})]


def test_rewinding_drops_what_a_resumed_run_writes_again(tmp_path, read_spool):
    for step in (1, 2, 3, 4):
        spool.append(tmp_path, step, {"loss": float(step)})
    with (tmp_path / spool.SPOOL).open("a") as stream:
        stream.write('{"step": 5, "ti')  # what a killed process leaves
    spool.rewind(tmp_path, 2)
    spool.append(tmp_path, 3, {"loss": 30.0})
    expected = [(1, {"loss": 1.0}), (2, {"loss": 2.0}), (3, {"loss": 30.0})]
    assert _points(tmp_path) == expected
    assert read_spool(tmp_path) == expected


def test_rewinding_twice_or_with_nothing_there_does_no_harm(tmp_path):
    spool.rewind(tmp_path, 0)
    assert _points(tmp_path) == []
    spool.append(tmp_path, 1, {"loss": 1.0})
    spool.append(tmp_path, 2, {"loss": 2.0})
    spool.rewind(tmp_path, 1)
    spool.rewind(tmp_path, 1)
    assert _points(tmp_path) == [(1, {"loss": 1.0})]


def test_a_reader_that_follows_a_spool_gets_every_new_point_after_it_was_rewound(tmp_path):
    """The tracker and the progress bar keep an offset over a crash and the resume after it."""
    for step in (1, 2, 3, 4):
        spool.append(tmp_path, step, {"loss": 1 / 3})
    offset = max(offset for offset, _ in spool.read(tmp_path))
    spool.rewind(tmp_path, 2)
    for step in (3, 4, 5):
        spool.append(tmp_path, step, {"loss": 0.5, "something longer": 1 / 3})
    assert [step for step, _ in _points(tmp_path, offset)] == [3, 4, 5]


def test_numbers_that_are_no_numbers_pass_through(tmp_path):
    spool.append(tmp_path, 1, {"loss": float("inf")})
    assert _points(tmp_path) == [(1, {"loss": float("inf")})]
