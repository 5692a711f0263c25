#!/usr/bin/env bash
# One would guess: under `pytest -n2 --dist loadgroup`, tests of one xdist_group run on one worker.
# What happens: with pytest 9.2 the mark does nothing and nothing is said: xdist 3.8 writes the group into
#   a field of the test's id that pytest no longer reads. With pytest 9.1.1 the same tests stay together.
#   Reported as pytest-dev/pytest-xdist#1386.
# Versions: pytest 9.2.0 and 9.1.1, pytest-xdist 3.8.0, Python 3.11.
# Who is hurt: whoever groups tests that share a port, a database or a folder: they run at once.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
export PYTHONDONTWRITEBYTECODE=1
mkdir "$work/tests"
cat >"$work/tests/test_shared.py" <<'PY'
import os

import pytest


@pytest.mark.xdist_group("shared")
@pytest.mark.parametrize("number", range(8))
def test_alone(number):
    with open(os.environ["WORKERS"], "a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + "\n")
PY

workers_with() { # the number of workers that ran the group, under pytest $1
    "$work/venv/bin/pip" install -q "pytest==$1" pytest-xdist==3.8.0 execnet==2.1.2
    (cd "$work/tests" && WORKERS="$work/$1" "$work/venv/bin/python" -m pytest -q -n2 --dist loadgroup \
        -p no:cacheprovider >"$work/output" 2>&1) || { cat "$work/output" >&2; return 1; }
    sort -u "$work/$1" | wc -l
}

old=$(workers_with 9.1.1)
new=$(workers_with 9.2.0)
echo "pytest-xdist 3.8.0, one group of 8 tests, 2 workers"
echo "pytest 9.1.1: the group ran on $old worker(s); pytest 9.2.0: on $new"
tail -n 1 "$work/output"
if ! { [ "$old" -eq 1 ] && [ "$new" -eq 2 ]; }; then
    echo 'CHANGED: the group is not spread as described above' >&2
    exit 1
fi
