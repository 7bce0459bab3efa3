#!/usr/bin/env bash
# Pretrain the mini HuBERT and its positional twin: gather speech of many voices, train, export, measure.
# Killed and run again, it goes on. On a GPU minutes; on CPU a day and more for the default steps.
# Usage: ./run.sh [--stage 1] [--stop-stage 4] [--steps 8000] [--batch 96] [--device cuda|cpu] [--dir exp]
set -euo pipefail

usage() { sed -n '2,4s/^# \{0,1\}//p' "$0"; }
die() { echo "$0: $*" >&2 && exit 2; }
stage=1 stop_stage=4 steps=8000 batch=96 device='' dir=exp
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage && exit 0 ;;
        --stage | --stop-stage | --stop_stage | --steps | --batch | --device | --dir)
            [ -n "${2:-}" ] || die "$1 needs a value"
            name=${1#--}
            printf -v "${name//-/_}" '%s' "$2"
            shift 2
            ;;
        *) echo "$0: unknown option $1" >&2 && usage >&2 && exit 2 ;;
    esac
done
for name in stage stop_stage steps batch; do
    [[ ${!name} =~ ^[1-9][0-9]*$ ]] || die "--${name} ${!name}: a whole number from 1 up is needed"
done
((stage <= stop_stage && stop_stage <= 4)) ||
    die "--stage ${stage} --stop-stage ${stop_stage}: stages are 1 to 4, the first one not behind the last"

cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=/dev/null
. ./path.sh
# shellcheck source=/dev/null
if [ -f ../enh1/db.sh ]; then . ../enh1/db.sh; fi
own=()
if [ -n "${MINI_ARCHIVES:-}" ]; then own=(--archives "${MINI_ARCHIVES}"); fi
export PYTHONPATH=${PWD}/local${PYTHONPATH:+:${PYTHONPATH}}
whisper=${WHISPER_TINY_EN:-../downloads/whisper-tiny.en}  # the teacher
twins="mini_hubert mini_hubert_positional"
needs() { [ -e "$1" ] || die "no ${PWD}/$1: stage $2 makes it (--stage $2)"; }
reach() { [ "${stage}" -le "$1" ] && [ "${stop_stage}" -ge "$1" ]; }

if reach 1; then
    echo "stage 1: fetch recordings and gather them in data/speech"
    [ -f data/speech/index.tsv ] || python3 -m pretraining gather "${own[@]}"
fi

if reach 2; then
    needs data/speech/index.tsv 1
    python3 -m espnet_posinv fetch --downloads ../downloads "${own[@]}" whisper-tiny.en
    for twin in ${twins}; do
        echo "stage 2: masked prediction in ${dir}/${twin}"
        options=()
        if [ "${twin}" = mini_hubert_positional ]; then options=(--positional); fi
        # Both learn the same clusters; on a GPU k-means is not the same twice
        if [ -f "${dir}/mini_hubert/labels.pt" ] && [ ! -f "${dir}/${twin}/labels.pt" ]; then
            mkdir -p "${dir}/${twin}"
            cp "${dir}/mini_hubert/labels.pt" "${dir}/${twin}/"
        fi
        # All cores: the only job
        OMP_NUM_THREADS=$(nproc) python3 -m pretraining train --work "${dir}/${twin}" --steps "${steps}" \
            --batch "${batch}" ${device:+--device "${device}"} --teacher "whisper:${whisper}" "${options[@]}"
    done
fi

if reach 3; then
    for twin in ${twins}; do
        needs "${dir}/${twin}/checkpoint.pt" 2
        echo "stage 3: export to ${dir}/${twin}/model"
        python3 -m pretraining export --work "${dir}/${twin}"
    done
fi

if reach 4; then
    needs "${dir}/mini_hubert/model/config.json" 3
    needs "${dir}/mini_hubert_positional/model/config.json" 3
    echo "stage 4: measure"
    python3 -m espnet_posinv fetch --downloads ../downloads "${own[@]}" whisper-tiny.en
    python3 -m pretraining measure "${own[@]}" \
        --upstream "mini HuBERT=transformers:${dir}/mini_hubert/model" \
        --upstream "positional twin=transformers:${dir}/mini_hubert_positional/model" \
        --upstream "Whisper tiny.en=whisper:${whisper}" --output "${dir}/QUALITY.md"
fi
