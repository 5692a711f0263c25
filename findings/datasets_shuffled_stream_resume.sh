#!/usr/bin/env bash
# One would guess: a shuffled stream that goes on from its state_dict gives the rows it had not given.
# What happens: the state knows where the source stands, not what lies in the shuffle buffer. The
#   buffer's rows are lost, and some rows that were given come a second time. Only a log line about
#   a refill says so. A stop within the first buffer is exact, so a short test passes.
# Versions: datasets 5.2.0, Python 3.11.
# Who is hurt: whoever resumes a training run on a streamed data set after a preemption.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q datasets==5.2.0 pyarrow==25.0.1 pandas==3.1.1 numpy==2.4.6
export HF_HOME="$work/home" HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1
"$work/venv/bin/python" - <<'PY'
import copy
import sys

import datasets

ROWS, BUFFER = 1_000, 100


def stream():
    rows = datasets.Dataset.from_dict({"n": list(range(ROWS))})
    return rows.to_iterable_dataset().shuffle(seed=7, buffer_size=BUFFER)


def resumed_after(count):
    """Take `count` rows, save the state, and let a second stream go on from it."""
    first, taken = stream(), []
    for row in first:
        taken.append(row["n"])
        if len(taken) == count:
            break
    second = stream()
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    return taken + [row["n"] for row in second]


print("datasets", datasets.__version__)
uninterrupted = [row["n"] for row in stream()]
for count in (50, 150, 500):
    rows = resumed_after(count)
    distinct = len(set(rows))
    print(f"stopped at {count}: {ROWS - distinct} rows lost, {len(rows) - distinct} given twice")
early, late = resumed_after(50), resumed_after(150)
as_described = (
    sorted(uninterrupted) == list(range(ROWS))
    and early == uninterrupted
    and len(set(late)) < ROWS
    and len(late) > len(set(late))
)
sys.exit(0 if as_described else "CHANGED: the resumed stream is not as described above")
PY
