#!/usr/bin/env bash
# Set up what the tests need and pass them: README's second command. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup.sh
# One BLAS thread a process: two test processes share the machine.
export OMP_NUM_THREADS=1 PYTHONUTF8=1
exec .venv/bin/python -m pytest -n "${POSINV_TEST_JOBS:-2}" --dist loadfile "$@"
