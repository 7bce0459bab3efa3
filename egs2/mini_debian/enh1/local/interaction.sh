#!/usr/bin/env bash
# The experiment of doc/evidence.md: does SSL-SoftDTW gain more over SSL-MSE where the encoder is positional?
# Criterions x encoders x seeds on a GPU, phone errors of what each model makes of the tests, a page with intervals.
# Killed and run again, it goes on where it was a minute before.
# The processes take the GPUs in turn: all, or those of CUDA_VISIBLE_DEVICES.
# Usage: local/interaction.sh [--device cuda] [--seeds 5] [--updates 800] [--jobs 4] [--data ../asr1/data] [--dir exp_full/interaction]
#        local/interaction.sh --pack FILE      # speech, noise and tests in Opus, for a machine without network
#        local/interaction.sh --unpack FILE    # there: makes --data
set -euo pipefail

usage() { sed -n '2,8s/^# \{0,1\}//p' "$0"; }
die() { echo "$0: $*" >&2 && exit 2; }
device=cuda seeds=5 updates=800 jobs=4 data=../asr1/data dir=exp_full/interaction pack='' unpack=''
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage && exit 0 ;;
        --device | --seeds | --updates | --jobs | --data | --dir | --pack | --unpack)
            [ -n "${2:-}" ] || die "$1 needs a value"
            printf -v "${1#--}" '%s' "$2"
            shift 2
            ;;
        *) echo "$0: unknown option $1" >&2 && usage >&2 && exit 2 ;;
    esac
done
[[ ${updates} =~ ^[1-9][0-9]*$ ]] || die "--updates ${updates}: a whole number from 1 up is needed"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=/dev/null
. ./path.sh
# shellcheck source=/dev/null
if [ -f db.sh ]; then . ./db.sh; fi
export PYTHONPATH=${PWD}/local${PYTHONPATH:+:${PYTHONPATH}}
interaction() { python3 -m interaction "$@"; }

if [ -n "${pack}" ]; then
    interaction pack --archive "${pack}" --lists "all=${data}/all/wav.scp=16" "noise=${data}/noise/train.scp=20" \
        "test_unseen=${data}/test_unseen/wav.scp=24" "test_seen=${data}/test_seen/wav.scp=24" \
        "test_clean=${data}/test_clean/wav.scp=16" "valid=${data}/valid/spk1.scp=16"
    exit
elif [ -n "${unpack}" ]; then
    interaction unpack --archive "${unpack}" --data "${data}"
    exit
fi

noise=${data}/noise/train.scp
[ -f "${noise}" ] || noise=${data}/noise/wav.scp  # unpacked
for file in "${data}/all/wav.scp" "${noise}" "${data}/test_unseen/wav.scp"; do
    [ -f "${file}" ] || die "no ${file}: ../asr1/run.sh --stop-stage 2 makes it, or --unpack FILE"
done
if [ ! -f exp_full/nsnet2/model.pth ]; then
    [ -n "${NSNET2_ONNX:-}" ] || python3 -m espnet_posinv fetch --downloads ../downloads nsnet2
    ./run.sh --full --stage 4 --stop-stage 4 --se_config ''
fi
checkpoints=()
for ((n = 25; n < updates; n *= 2)); do checkpoints+=("${n}"); done
whisper=whisper:${WHISPER_TINY_EN:-../downloads/whisper-tiny.en}
twins=transformers:../ssl1
upstreams="mini_hubert=${twins}/mini_hubert positional=${twins}/mini_hubert_positional whisper=${whisper}"
mkdir -p "${dir}"
gpus=${CUDA_VISIBLE_DEVICES:-$(nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null | paste -sd, || true)}  # "": none
# shellcheck disable=SC2016
spread() { # $1 processes with the other arguments, with each line of the input as --cells, on the next GPU
    GPUS=${gpus} xargs -P "$1" --process-slot-var=SLOT -I CELLS bash -c '
        IFS=, read -ra gpus <<< "${GPUS}"
        if ((${#gpus[@]})); then export CUDA_VISIBLE_DEVICES=${gpus[SLOT % ${#gpus[@]}]}; fi
        exec python3 -m interaction "$@"' interaction "${@:2}" --cells CELLS
}
cells() { for c in ssl_softdtw ssl_mse ssl_mse_pad ssl_mse_shift; do echo "${c}@mini_hubert ${c}@positional ${c}@whisper"; done; }
training=(--device "${device}" --seeds "${seeds}" --speech-scp "${data}/all/wav.scp" --noise-scp "${noise}"
    --upstreams "${upstreams}" --output-dir "${dir}" --checkpoints "${checkpoints[@]}" "${updates}")
[ -f "${dir}/speed.json" ] || interaction speed "${training[@]}"  # first, while nothing else runs
heads=../asr1/heads head=0
if [ ! -f "${heads}/positional_phones_blstm/config.json" ]; then
    CUDA_VISIBLE_DEVICES=${gpus##*,} ../asr1/run.sh --stage 3 --device "${device}" --dir heads --heads phones_blstm \
        --upstreams "positional=${twins}/mini_hubert_positional" > "${dir}/head.log" 2>&1 &
    head=$!
fi
cells | spread "${jobs}" train "${training[@]}"
((head == 0)) || wait "${head}" || die "the recogniser on the positional twin: see ${PWD}/${dir}/head.log"
also=()
for model in models/*/model.pth; do also+=("$(dirname "${model}")"); done
score() {
    { echo "nsnet2 ${also[*]##*/}" && cells | xargs -n 1; } | spread "$((3 * jobs))" score --device "${device}" --output-dir "${dir}" \
        --clean "${data}/test_clean" --also "${also[*]}" \
        --judges "mini_hubert=${heads}/mini_hubert_phones_blstm positional=${heads}/positional_phones_blstm whisper=${heads}/whisper_tiny_phones_blstm,${whisper}" "$@"
}
score --steps 0 "${updates}" --sets "unseen=${data}/test_unseen"
score --steps "${checkpoints[@]}" --sets "half=${data}/test_unseen/every2"  # the curves; both ends are parts of the above
score --steps 0 "${updates}" --sets "seen=${data}/test_seen clean=${data}/test_clean"
interaction report --output-dir "${dir}"
