#!/usr/bin/env bash
# One would guess: an infinite loss reads back as infinite, and a filter on a metric finds no run that
#   has no number there.
# What happens: infinity reads back as 1.797e308, which is finite: a check by math.isfinite lets a
#   diverged run through. A run whose loss is NaN is found by `!=`, and by no `<` or `>`: a filter and
#   its opposite, such as `< 1.0` and `>= 1.0`, do not share the runs out between them.
# Versions: mlflow 3.17.2 on SQLite, Python 3.11.
# Who is hurt: whoever picks a run by a filter, or gates a model on a finite loss read from MLflow.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q mlflow==3.17.2 SQLAlchemy==2.0.57 alembic==1.20.1 pandas==3.1.1
export MLFLOW_DISABLE_TELEMETRY=true PYTHONDONTWRITEBYTECODE=1
cd "$work"
venv/bin/python - 2>error.log <<'PY' || { code=$?; tail -n 5 error.log >&2; exit "$code"; }
import math
import sys

import mlflow

mlflow.set_tracking_uri("sqlite:///runs.db")
mlflow.set_experiment("losses")
for name, loss in {"good": 0.5, "fair": 0.7, "nan": math.nan, "infinite": math.inf}.items():
    with mlflow.start_run(run_name=name):
        mlflow.log_metric("loss", loss)


def found(condition):
    runs = mlflow.search_runs(filter_string=condition, output_format="list")
    return {run.info.run_name: run.data.metrics["loss"] for run in runs}


print("mlflow", mlflow.__version__)
conditions = ("metrics.loss != 0.5", "metrics.loss < 1.0", "metrics.loss >= 1.0")
answers = {condition: found(condition) for condition in conditions}
for condition, runs in answers.items():
    print(f"{condition:20} finds {runs}")
unequal, below, above = answers.values()
as_described = (
    math.isnan(unequal.get("nan", 0.0))
    and "nan" not in below | above
    and "good" in below
    and math.isfinite(above["infinite"])
)
sys.exit(0 if as_described else "CHANGED: MLflow's search is not as described above")
PY
