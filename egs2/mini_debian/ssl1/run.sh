#!/usr/bin/env bash
# Pretrain the mini HuBERT: gather speech of many voices, train three iterations, export, measure.
# Killed and run again, it goes on. On a GPU some twenty minutes; on CPU a day and more for the default steps.
# Usage: ./run.sh [--stage 1] [--stop-stage 4] [--steps 6000] [--batch 48] [--device cuda|cpu] [--dir exp/mini_hubert]
set -euo pipefail

usage() { sed -n '2,4s/^# \{0,1\}//p' "$0"; }
die() { echo "$0: $*" >&2 && exit 2; }
stage=1 stop_stage=4 steps=6000 batch=48 device='' dir=exp/mini_hubert
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
needs() { [ -e "$1" ] || die "no ${PWD}/$1: stage $2 makes it (--stage $2)"; }
reach() { [ "${stage}" -le "$1" ] && [ "${stop_stage}" -ge "$1" ]; }

if reach 1; then
    echo "stage 1: fetch recordings and gather them in data/speech"
    [ -f data/speech/index.tsv ] ||
        python3 -m espnet_posinv pretrain-hubert --gather --downloads ../downloads "${own[@]}"
fi

if reach 2; then
    needs data/speech/index.tsv 1
    echo "stage 2: three iterations of masked prediction in ${dir}"
    python3 -m espnet_posinv fetch --downloads ../downloads "${own[@]}" whisper-tiny.en  # the third's teacher
    # All cores: the only job
    OMP_NUM_THREADS=$(nproc) python3 -m espnet_posinv pretrain-hubert --work "${dir}" --steps "${steps}" \
        --batch "${batch}" ${device:+--device "${device}"} \
        --teacher "whisper:${WHISPER_TINY_EN:-../downloads/whisper-tiny.en}"
fi

if reach 3; then
    needs "${dir}/iteration3.pt" 2
    echo "stage 3: export to ${dir}/model"
    python3 -m espnet_posinv pretrain-hubert --work "${dir}" --iterations --export "${dir}/model"
fi

if reach 4; then
    needs "${dir}/model/config.json" 3
    echo "stage 4: measure"
    python3 -m espnet_posinv fetch --downloads ../downloads "${own[@]}" whisper-tiny.en
    python3 -m espnet_posinv ssl-quality --downloads ../downloads "${own[@]}" \
        --upstream "mini HuBERT=transformers:${dir}/model" \
        --upstream "Whisper tiny.en=whisper:${WHISPER_TINY_EN:-../downloads/whisper-tiny.en}" \
        --output "${dir}/QUALITY.md"
fi
