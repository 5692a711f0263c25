#!/usr/bin/env bash
# One would guess: a parameter that goes from 1 to 1.0, or from 1 to true, has changed: the program that
#   reads it gets another type.
# What happens: DVC compares with Python's ==, for which 1, 1.0 and True are equal. `dvc params diff`
#   is empty, `dvc status` is up to date and `dvc repro` skips the stage: the old output stays.
# Versions: dvc 3.67.1, Python 3.11.
# Who is hurt: whoever turns a count into a switch or a fraction (1.0 = all, 1 = one) in params.yaml.
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
git config user.name someone && git config user.email someone@example.com
printf 'share: 1\nshuffle: 1\n' >params.yaml
cat >dvc.yaml <<'YAML'
stages:
  copy:
    cmd: cp params.yaml seen.yaml
    params: [share, shuffle]
    outs: [seen.yaml]
YAML
dvc repro -q && git add . && git commit -qm 'First parameters'

printf 'share: 1.0\nshuffle: true\n' >params.yaml
dvc --version | sed 's/^/dvc /'
diff=$(dvc params diff) status=$(dvc status)
dvc repro -q
echo "dvc params diff: '$diff'"
echo "dvc status: '$status'"
echo "the stage's output after dvc repro: $(tr '\n' ' ' <seen.yaml)"
if ! { [ -z "$diff" ] && grep -q 'up to date' <<<"$status" && grep -qx 'share: 1' seen.yaml; }; then
    echo 'CHANGED: DVC tells 1 from 1.0 or true' >&2
    exit 1
fi
printf 'share: 2\nshuffle: true\n' >params.yaml
dvc status | grep -q 'share' || { echo 'CHANGED: DVC does not see a 2 either' >&2; exit 1; }
