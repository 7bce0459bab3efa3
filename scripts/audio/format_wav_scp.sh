#!/usr/bin/env bash
# Write real audio files of one rate and format for each entry of a wav.scp.
root=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../..
export PYTHONPATH="${root}${PYTHONPATH:+:${PYTHONPATH}}"
exec "${PYTHON:-python3}" -m espnet_posinv data format-wav-scp "$@"
