#!/usr/bin/env bash
# Split the lines of a file into parts.
root=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/..
export PYTHONPATH="${root}${PYTHONPATH:+:${PYTHONPATH}}"
exec "${PYTHON:-python3}" -m espnet_posinv data split-scp "$@"
