#!/usr/bin/env bash
# ruff and shellcheck over everything that is tracked, types of what others call, the oldest Python.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup.sh
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
.venv/bin/vermin -q -t=3.10- --no-tips espnet_posinv > /dev/null ||
    { .venv/bin/vermin -t=3.10- --no-tips --violations espnet_posinv; exit 1; }
# Shell scripts by name or by first line; symbolic links are checked where they point to.
git ls-files -s | awk '$1 != "120000"' | cut -f2 | while read -r file; do
    case "${file}" in *.sh | .ci/run) echo "${file}" ;; *) head -c 64 "${file}" | grep -qaE '^#!.*\b(ba)?sh\b' && echo "${file}" ;; esac
done | xargs shellcheck -x -P SCRIPTDIR
echo "lint: clean"
