#!/usr/bin/env bash
# One would guess: two tables with the same digest hold the same rows.
# What happens: the digest of mlflow.data.from_pandas and from_numpy sees the first 10,000 rows and how
#   many there are. Change any later row, and the digest stays.
# Versions: mlflow 3.17.2, pandas 3.1.1, Python 3.11.
# Who is hurt: whoever takes the digest that MLflow shows as proof that two runs had the same data.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q mlflow==3.17.2 pandas==3.1.1 numpy==2.4.6
export MLFLOW_DISABLE_TELEMETRY=true PYTHONDONTWRITEBYTECODE=1
cd "$work"
venv/bin/python - <<'PY'
import sys

import mlflow
import numpy as np
import pandas as pd

ROWS, SEEN = 20_000, 10_000
table = pd.DataFrame({"text": [f"row {number}" for number in range(ROWS)]})


def changed_at(row):
    other = table.copy()
    other.loc[row, "text"] = "changed"
    return mlflow.data.from_pandas(other).digest


print("mlflow", mlflow.__version__)
original = mlflow.data.from_pandas(table).digest
last_seen, first_unseen = changed_at(SEEN - 1), changed_at(SEEN)
print(f"table {original}, row {SEEN - 1} changed {last_seen}, row {SEEN} changed {first_unseen}")
numbers = np.arange(ROWS)
half_zero = np.where(numbers < SEEN, numbers, 0)
arrays = [mlflow.data.from_numpy(array).digest for array in (numbers, half_zero)]
print("array", arrays[0], "with its second half set to 0", arrays[1])
as_described = original == first_unseen != last_seen and arrays[0] == arrays[1]
sys.exit(0 if as_described else "CHANGED: the digest is not as described above")
PY
