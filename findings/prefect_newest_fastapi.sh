#!/usr/bin/env bash
# One would guess: `pip install prefect` without a lock gives a Prefect whose server starts: pip picks versions
#   that fit together, and `pip check` finds nothing wrong.
# What happens: Prefect 3.8.8 sets no upper bound that keeps FastAPI 0.155 out. That version no longer takes
#   Body(min_items=...), which Prefect's server still passes, so importing the server raises TypeError.
#   `import prefect` and its client still work. FastAPI 0.154.0 is the last that works.
# Versions: prefect 3.8.8, fastapi 0.154.0 and 0.155.0, Python 3.11.
# Who is hurt: whoever builds the server's image without a lock file: it worked last month.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
export PREFECT_HOME="$work/home" DO_NOT_TRACK=1 PYTHONDONTWRITEBYTECODE=1
cd "$work"

install() { # FastAPI $1
    venv/bin/pip install -q --no-compile prefect==3.8.8 SQLAlchemy==2.0.57 "fastapi==$1"
    venv/bin/pip check >check || { cat check >&2; return 1; }
}

make_server() { # make the server's application in memory, with no port and no database
    venv/bin/python -c 'import prefect; print("import prefect: works")'
    venv/bin/python -c 'from prefect.server.api.server import create_app; create_app()' 2>&1
}

install 0.154.0
make_server >old || { echo 'CHANGED: the server fails with FastAPI 0.154.0 too' >&2; tail -n 3 old >&2; exit 1; }
echo "prefect 3.8.8, fastapi 0.154.0, pip check: $(cat check)"
echo 'the server is made'
install 0.155.0
if make_server >new; then
    echo 'CHANGED: the server is made with FastAPI 0.155.0' >&2
    exit 1
fi
echo "prefect 3.8.8, fastapi 0.155.0, pip check: $(cat check)"
head -n 1 new
tail -n 1 new
grep -q '^import prefect: works' new && tail -n 1 new | grep -q "^TypeError: .*min_items" ||
    { echo 'CHANGED: the server fails in another way' >&2; exit 1; }
