#!/usr/bin/env bash
# Make a data directory with the audio of another, faster or slower.
root=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/..
export PYTHONPATH="${root}${PYTHONPATH:+:${PYTHONPATH}}"
exec "${PYTHON:-python3}" -m espnet_posinv data perturb-data-dir-speed "$@"
