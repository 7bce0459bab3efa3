# shellcheck shell=bash
# The environment of a recipe: to be sourced from the recipe's folder. Makes it on first use.

_root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../../.." && pwd)
"${_root}/tools/setup.sh" || exit 1
export PATH=${_root}/.venv/bin:${PWD}/utils:${PATH}
# C sorts by bytes, as every data directory is sorted; the text inside is UTF-8.
export LC_ALL=C PYTHONUTF8=1
export PYTHONUNBUFFERED=1
# Jobs run side by side: a job that takes all cores for its BLAS slows all others down.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
# Threads that wait for each other by spinning take the core from whoever they wait for, once anything else
# runs on the machine; sleeping costs next to nothing.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
# oneDNN keeps the code of 1024 operations, each for one length of audio; lengths hardly repeat, and a training
# would grow by gigabytes.
export ONEDNN_PRIMITIVE_CACHE_CAPACITY=${ONEDNN_PRIMITIVE_CACHE_CAPACITY:-64}
