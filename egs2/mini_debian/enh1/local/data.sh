#!/usr/bin/env bash
# Fetch recordings and models, and make <data>/{train,valid,dev,test_clean,test_seen,test_unseen}.
# Usage: local/data.sh [--size quick|default|full] [--seed 0] [--data data]
# A db.sh beside run.sh may name what the user already has: MINI_ARCHIVES (a folder with .deb and .whl files),
# WHISPER_TINY_EN and WHISPER_BASE (faster-whisper folders), NSNET2_ONNX (nsnet2-20ms-baseline.onnx).
set -euo pipefail

usage() { sed -n '2,5s/^# \{0,1\}//p' "$0"; }
size=default seed=0 data=data
while [ $# -gt 0 ]; do
    case $1 in
        --size) size=${2:?--size needs quick, default or full} && shift 2 ;;
        --data) data=${2:?--data needs a folder} && shift 2 ;;
        --seed) seed=${2:?--seed needs a number} && shift 2 ;;
        -h | --help) usage && exit 0 ;;
        *) echo "$0: unknown option $1" >&2 && usage >&2 && exit 2 ;;
    esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=/dev/null
. ./path.sh
# shellcheck source=/dev/null
if [ -f db.sh ]; then . ./db.sh; fi

own=()
if [ -n "${MINI_ARCHIVES:-}" ]; then own=(--archives "${MINI_ARCHIVES}"); fi
models=()
if [ -n "${WHISPER_TINY_EN:-}" ]; then models+=(--whisper-tiny-en "${WHISPER_TINY_EN}"); fi
if [ -n "${WHISPER_BASE:-}" ]; then models+=(--whisper-base "${WHISPER_BASE}"); fi
if [ -n "${NSNET2_ONNX:-}" ]; then models+=(--nsnet2-onnx "${NSNET2_ONNX}"); fi

python3 -m espnet_posinv fetch --downloads ../downloads "${own[@]}" "${models[@]}" \
    whisper-tiny.en whisper-base nsnet2
python3 -m espnet_posinv data mini-debian --downloads ../downloads "${own[@]}" \
    --data "${data}" --size "${size}" --seed "${seed}" --lexicon ../asr1/lexicon.txt
