#!/usr/bin/env bash
# One would guess: what `dvc add` took in, `dvc checkout` lays out again.
# What happens: DVC keeps files, and a folder only as part of a file's path. An empty folder is gone after
#   a checkout, without a word, and `dvc status` calls the data up to date.
# Versions: dvc 3.67.1, Python 3.11.
# Who is hurt: whoever has an empty split or an empty shard folder that a later step lists or writes to.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q dvc==3.67.1 dvc-data==3.18.3 scmrepo==3.6.2
export DVC_NO_ANALYTICS=1 PYTHONDONTWRITEBYTECODE=1 PATH="$work/venv/bin:$PATH"
export DVC_GLOBAL_CONFIG_DIR="$work/global" DVC_SYSTEM_CONFIG_DIR="$work/system"
export DVC_SITE_CACHE_DIR="$work/site"
mkdir "$work/repo" && cd "$work/repo"
git init -q && dvc init -q
mkdir -p data/train data/held_out
echo 'one document' >data/train/part.txt
dvc add -q data
before=$(find data | sort | tr '\n' ' ')
rm -r data
dvc checkout -q
after=$(find data | sort | tr '\n' ' ')
status=$(dvc status)
dvc --version | sed 's/^/dvc /'
echo "added:       $before"
echo "checked out: $after"
echo "dvc status:  $status"
if ! { [ -f data/train/part.txt ] && [ ! -e data/held_out ] && grep -q 'up to date' <<<"$status"; }; then
    echo 'CHANGED: DVC keeps the empty folder, or says that it is missing' >&2
    exit 1
fi
