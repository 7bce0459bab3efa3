#!/usr/bin/env bash
# Invert utt2spk.
root=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/..
export PYTHONPATH="${root}${PYTHONPATH:+:${PYTHONPATH}}"
exec "${PYTHON:-python3}" -m espnet_posinv data utt2spk-to-spk2utt "$@"
