#!/usr/bin/env bash
# Replace words by what a map has for them.
root=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/..
export PYTHONPATH="${root}${PYTHONPATH:+:${PYTHONPATH}}"
exec "${PYTHON:-python3}" -m espnet_posinv data apply-map "$@"
