#!/usr/bin/env bash
# Set up what the tests need and pass them: README's second command. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup.sh
# sclite, whose totals are compared with ours; those tests are skipped without it
if [ ! -x /usr/lib/sctk/bin/sclite ] && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends sctk; } > /dev/null 2>&1 ||
        echo "ci/test.sh: no sctk to be had; its tests will be skipped" >&2
fi
# One BLAS thread a process: two test processes share the machine.
export OMP_NUM_THREADS=1 PYTHONUTF8=1
exec .venv/bin/python -m pytest -n "${POSINV_TEST_JOBS:-2}" --dist loadfile "$@"
