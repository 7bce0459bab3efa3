#!/usr/bin/env bash
# Set up the environment and run the tests: README's second command. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup.sh
# sclite, for a comparison of its totals with ours; these tests are skipped without it
if [ ! -x /usr/lib/sctk/bin/sclite ] && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends sctk; } > /dev/null 2>&1 ||
        echo "ci/test.sh: sctk cannot be installed; its tests will be skipped" >&2
fi
# One BLAS thread a process: two test processes share the machine.
export OMP_NUM_THREADS=1 PYTHONUTF8=1
# Without arguments: all tests, and the examples in docstrings.
# shellcheck disable=SC2046 # file names without blanks
[ $# -gt 0 ] || set -- --doctest-modules --ignore test/softdtw/simulated_cuda.py test $(grep -rl '>>> ' espnet_posinv --include='*.py')
exec .venv/bin/python -m pytest -n "${POSINV_TEST_JOBS:-2}" --dist loadfile "$@"
