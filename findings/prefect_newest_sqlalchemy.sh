#!/usr/bin/env bash
# One would guess: a Prefect server that starts and calls itself healthy makes runs of its schedules.
# What happens: Prefect 3.8.8 lets pip take SQLAlchemy 2.1. With it the server starts, /api/health says true and a
#   deployment with a schedule is accepted, but no run is ever made: the scheduler's loop fails each time, and
#   only the server's log says so. With SQLAlchemy 2.0.57 the first runs stand there within seconds.
# Versions: prefect 3.8.8, SQLAlchemy 2.1.9 and 2.0.57, fastapi 0.150.0, Python 3.11.
# Who is hurt: whoever has nightly flows and no lock file: every check is green and nothing runs.
set -euo pipefail
work=$(mktemp -d)
server=
finish() {
    if [ -n "$server" ]; then kill "$server" 2>/dev/null && wait "$server" 2>/dev/null; fi
    rm -rf "$work"
}
trap finish EXIT
python3.11 -m venv "$work/venv"
export DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false PYTHONDONTWRITEBYTECODE=1
cd "$work"
port=$(python3.11 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >schedule.py <<'PY'
import json
import sys
import time
import urllib.request


def api(path, content=None):
    data = None if content is None else json.dumps(content).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(sys.argv[1] + path, data, headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


for _ in range(60):
    try:
        healthy = api("/health")
        break
    except OSError:
        time.sleep(1)
else:
    sys.exit("the server does not answer")
flow = api("/flows/", {"name": "flow"})
hourly = {"active": True, "schedule": {"interval": 3600}}
api("/deployments/", {"name": "hourly", "flow_id": flow["id"], "schedules": [hourly]})
runs = 0
for _ in range(20):
    time.sleep(1)
    if runs := api("/flow_runs/count", {}):
        break
print(healthy, runs)
PY

runs_with() { # SQLAlchemy $1; leaves "HEALTHY RUNS" in the file answer
    venv/bin/pip install -q --no-compile prefect==3.8.8 fastapi==0.150.0 "SQLAlchemy==$1"
    export PREFECT_HOME="$work/home-$1"
    venv/bin/prefect server start --host 127.0.0.1 --port "$port" --no-ui >"log-$1" 2>&1 &
    server=$!
    python3.11 schedule.py "http://127.0.0.1:$port/api" >answer
    kill "$server"
    wait "$server" || true
    server=
    echo "prefect 3.8.8, SQLAlchemy $1: healthy and runs: $(cat answer)"
}

runs_with 2.0.57
old=$(cat answer)
runs_with 2.1.9
new=$(cat answer)
grep -m 1 '^sqlalchemy.exc' log-2.1.9 || true
if [ "$new" != 'True 0' ] || [ "$old" = 'True 0' ] || [ "${old%% *}" != True ]; then
    echo 'CHANGED: the schedules are not as described above' >&2
    exit 1
fi
