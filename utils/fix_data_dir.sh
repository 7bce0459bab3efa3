#!/usr/bin/env bash
# Sort the files of a data directory and drop incomplete utterances.
root=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/..
export PYTHONPATH="${root}${PYTHONPATH:+:${PYTHONPATH}}"
exec "${PYTHON:-python3}" -m espnet_posinv data fix-data-dir "$@"
