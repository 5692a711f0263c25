#!/usr/bin/env bash
# One would guess: a schedule that is switched off and on again runs with the parameters that it had.
# What happens: the switch in Prefect's UI sends PATCH {"active": false}. The server takes the parameters, of which
#   the request says nothing, for {}: from then on the schedule runs with the deployment's defaults. Its slug and
#   its own time stay, so nothing on the page looks different.
# Versions: prefect 3.8.8, fastapi 0.150.0, SQLAlchemy 2.0.57, Python 3.11.
# Who is hurt: whoever pauses a schedule that has parameters of its own: a nightly run of another size or data set.
set -euo pipefail
work=$(mktemp -d)
server=
finish() {
    if [ -n "$server" ]; then kill "$server" 2>/dev/null && wait "$server" 2>/dev/null; fi
    rm -rf "$work"
}
trap finish EXIT
python3.11 -m venv "$work/venv"
export DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false PYTHONDONTWRITEBYTECODE=1 PREFECT_HOME="$work/home"
cd "$work"
venv/bin/pip install -q --no-compile prefect==3.8.8 fastapi==0.150.0 SQLAlchemy==2.0.57
port=$(python3.11 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
venv/bin/prefect server start --host 127.0.0.1 --port "$port" --no-ui >log 2>&1 &
server=$!
cat >switch.py <<'PY'
import json
import sys
import time
import urllib.request


def api(path, content=None, method=None):
    data = None if content is None else json.dumps(content).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(sys.argv[1] + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read() or "null")


for _ in range(60):
    try:
        api("/health")
        break
    except OSError:
        time.sleep(1)
else:
    sys.exit("the server does not answer")
flow = api("/flows/", {"name": "flow"})
nightly = {"active": True, "schedule": {"interval": 86400}, "parameters": {"size": "small"}}
asked = {"name": "nightly", "flow_id": flow["id"], "schedules": [nightly]}
deployment = api("/deployments/", asked)
place = f"/deployments/{deployment['id']}/schedules"
(before,) = api(place)
for active in (False, True):
    api(f"{place}/{before['id']}", {"active": active}, "PATCH")
(after,) = api(place)
print(before["parameters"], "->", after["parameters"], "active:", after["active"])
PY
answer=$(python3.11 switch.py "http://127.0.0.1:$port/api")
echo "prefect 3.8.8: switched off and on: $answer"
if [ "$answer" != "{'size': 'small'} -> {} active: True" ]; then
    echo 'CHANGED: the schedule keeps its parameters' >&2
    exit 1
fi
