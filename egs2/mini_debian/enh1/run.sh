#!/usr/bin/env bash
# NSNet2, a pretrained speech enhancer that hurts recognition, fine-tuned on SSL losses; WER in seen and unseen
# noise. Real recordings out of Debian and PyPI packages; see README.md. Options of enh.sh may follow.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

. ./db.sh
size=default datadir=
args=()
while [ $# -gt 0 ]; do
    case "$1" in
        --quick | --full) size=${1#--} ;;
        --datadir=?*) datadir=${1#*=} ;;
        --datadir) [ $# -ge 2 ] || { echo "run.sh: $1 has no value" >&2 && exit 2; }; datadir=$2 && shift ;;
        -h | --help) echo "Usage: ./run.sh [--quick | --full] [options]: README.md says how long each takes" ;;&
        *) args+=("$1") ;;
    esac
    shift
done
datadir=${datadir:-data_${size}}

# How much data, training and scoring.
downloads=../downloads
base="whisper-base=whisper:${WHISPER_BASE:-${downloads}/whisper-base}"
tiny="whisper-tiny.en=whisper:${WHISPER_TINY_EN:-${downloads}/whisper-tiny.en}"
phones="whisper-tiny.en-phones=ssl_ctc:../asr1/heads/whisper_tiny_phones_blstm${WHISPER_TINY_EN:+,upstream=${tiny#*=}}"
mini="mini_hubert-phones=ssl_ctc:../asr1/heads/mini_hubert_phones_blstm"
packed="models/nsnet2_ssl_mse models/nsnet2_ssl_softdtw"  # 4600 updates
upstreams="mini_hubert=transformers:../ssl1/mini_hubert"
asr_args="--window 15"
recognisers="${phones} ${base}" se_config='' results=exp_${size}/RESULTS.md train=() metrics=pesq,estoi,si_sdr probe='' spoken=0  # DNSMOS: a second an utterance
case ${size} in
    quick)
        epochs=2 updates=2 recognisers="${phones} ${tiny}" probe=none packed=models/nsnet2_ssl_mse
        train=(--train_jobs 2 --train_threads 1)
        asr_args+=" --compute-type int8"  # faster, but its words depend on the processor; the report says so
        ;;
    default) epochs=2 updates=10 probe="--steps 5 --utterances 30" spoken=30 ;;
    full)
        epochs=8 updates=25 se_config=conf/train_convtasnet.yaml recognisers="${mini} ${phones} ${tiny} ${base}"
        upstreams+=" whisper=${tiny#*=}"
        train=(--train_jobs 2 --train_threads $((($(nproc) + 1) / 2)))
        ;;
esac
# On a GPU the full size trains 3000 updates and three seeds of everything in minutes.
if [ "${size}" = full ] && nvidia-smi -L > /dev/null 2>&1; then
    train=(--ngpu 1 --train_jobs 4 --seeds "1 2 3" --resident "--noise-scp ${datadir}/noise/train.scp --steps 3000")
fi
# Every epoch's model is kept, for curves of what else than the loss changes (posinv convergence).
finetune="--set max_epoch=${epochs} --set num_iters_per_epoch=${updates} --set keep_nbest_models=${epochs} \
    --set scheduler_conf.warmup_steps_list=[0,$((epochs * updates / 10)),$((epochs * updates))]"

./enh.sh \
    --train_set train --valid_set valid --test_sets "test_clean test_seen test_unseen" --clean_set test_clean \
    --datadir "${datadir}" --local_data_opts "--size ${size}" \
    --data_from ../asr1/lexicon.txt --dumpdir "dump_${size}" --expdir "exp_${size}" --downloads "${downloads}" \
    --pretrained "${NSNET2_ONNX:-${downloads}/nsnet2/nsnet2-20ms-baseline.onnx}" --init nsnet2 --packed "${packed}" \
    --finetune_defaults "--set preprocessor_conf.noise_scp=${datadir}/noise/train.scp" \
    --finetune_config conf/finetune.yaml --finetune_args "${finetune}" \
    --upstreams "${upstreams}" --seeds 1 "${train[@]}" \
    --se_config "${se_config}" \
    --results "${results}" \
    --recognisers "${recognisers}" --asr_args "${asr_args}" --metrics "${metrics}" --spoken_max "${spoken}" \
    --probe_args "${probe}" \
    "${args[@]}"
