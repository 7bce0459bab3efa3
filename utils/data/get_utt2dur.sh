#!/usr/bin/env bash
# Write utt2dur of a data directory from its audio.
root=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../..
export PYTHONPATH="${root}${PYTHONPATH:+:${PYTHONPATH}}"
exec "${PYTHON:-python3}" -m espnet_posinv data audio-lengths --only utt2dur "$@"
