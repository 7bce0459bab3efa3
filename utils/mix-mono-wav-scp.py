#!/usr/bin/env bash
# Make entries of several channels of wav.scp files with one channel each.
root=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/..
export PYTHONPATH="${root}${PYTHONPATH:+:${PYTHONPATH}}"
exec "${PYTHON:-python3}" -m espnet_posinv data mix-mono-wav-scp "$@"
