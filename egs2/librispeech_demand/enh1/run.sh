#!/usr/bin/env bash
# The experiment of arXiv 2601.21084: a speech enhancer, fine-tuned on SSL losses, in seen and unseen noise.
# LibriSpeech and DEMAND; see README.md. Options of enh.sh may follow.
# shellcheck disable=SC1091
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./db.sh

model=demucs64 train=100 layers=-1
datadir=data nj=$(nproc) cmd_backend=local local_data_opts='' se_args='' finetune_args=''
args=()
while [ $# -gt 0 ]; do
    name=${1%%=*} name=${name#--} name=${name//-/_}
    case ${1%%=*} in
        --model | --train | --layers | --datadir | --nj | --cmd[_-]backend | --local[_-]data[_-]opts | --se[_-]args | \
        --finetune[_-]args)
            if [[ $1 != *=* ]]; then
                [ $# -ge 2 ] || { echo "run.sh: $1 has no value" >&2 && exit 2; }
                set -- "$1=$2" "${@:3}"
            fi
            printf -v "${name}" %s "${1#*=}" ;;
        -h | --help)
            echo "Usage: ./run.sh [--model demucs48 | demucs64 | convtasnet | bsrnn | tfgridnet] [--train 100 | 960]"
            echo "    [--layers N | conv | all] (hidden state of the SSL model in the loss), and options of enh.sh:"
            args+=("$1") ;;
        *) args+=("$1") ;;
    esac
    shift
done

case ${train} in
    100) train_set=train_clean_100 parts=train-clean-100 ;;
    960) train_set=train_960 parts=train-clean-100,train-clean-360,train-other-500 ;;
    *) echo "run.sh: --train ${train}: 100 or 960" >&2 && exit 2 ;;
esac
[ -e "conf/train_${model}.yaml" ] || {
    echo "run.sh: --model ${model}: no conf/train_${model}.yaml; there are $(basename -as .yaml conf/train_*.yaml | sed s/train_// | xargs)" >&2
    exit 2
}
for name in LIBRISPEECH DEMAND DENOISER WHISPER LEXICON LM; do
    [ -z "${!name}" ] || [ -e "${!name}" ] ||
        { echo "run.sh: ${name} is ${!name}, which does not exist; correct it in db.sh or the environment" >&2 && exit 2; }
    [[ ${!name} != *[[:space:]]* ]] ||
        { echo "run.sh: ${name} is ${!name}: not with a blank in it, please; a link without will do (ln -s TARGET LINK)" >&2 && exit 2; }
done

[[ -z ${DENOISER} || ${DENOISER} == *.th ]] ||
    { echo "run.sh: DENOISER is ${DENOISER}, no checkpoint of denoiser: their names end with .th" >&2 && exit 2; }

# The model to start from: trained here, or the user's own Demucs. Fine-tuning lays its configuration over that of
# the model, so that the architecture stands in one file.
start=(--se_config "conf/train_${model}.yaml" --init "train_${model}")
if [ -n "${DENOISER}" ] && [[ ${model} == demucs* ]]; then
    start=(--pretrained "${DENOISER}" --init demucs --import_args "--hidden ${model#demucs}")
fi
data_from=${DEMAND}  # what stage 1 reads of your own
for part in ${parts//,/ } dev-clean test-clean; do
    for name in "${part}" "LibriSpeech/${part}" "${part}.tar.gz"; do
        if [ -n "${LIBRISPEECH}" ] && [ -e "${LIBRISPEECH}/${name}" ]; then data_from+=" ${LIBRISPEECH}/${name}" && break; fi
    done
done
noises="--set preprocessor_conf.noise_scp=${datadir}/noise/train.scp"

./enh.sh \
    --train_set "${train_set}" --valid_set dev \
    --test_sets "test_clean test_clean_seen test_clean_unseen" --clean_set test_clean \
    --datadir "${datadir}" --audio_format flac --nj "${nj}" --cmd_backend "${cmd_backend}" \
    --local_data_opts "--parts ${parts} --train_set ${train_set} --nj ${nj} --cmd_backend ${cmd_backend} ${local_data_opts}" \
    --data_from "${data_from}" \
    "${start[@]}" --se_args "${noises} ${se_args} conf/common.yaml" \
    --finetune_config "conf/finetune_${model%%[0-9]*}.yaml" \
    --finetune_args "${noises} --set criterions.0.conf.layers=${layers} ${finetune_args} conf/common.yaml conf/train_${model}.yaml" \
    --upstreams "hubert=transformers:facebook/hubert-base-ls960" \
    --heads "characters_blstm phones_linear" --lexicon "${LEXICON:-downloads/librispeech-lexicon.txt},g2p_en" --lm "${LM}" \
    --recognisers "whisper-base=whisper:${WHISPER:-downloads/whisper-base}" --asr_args "--window 30" \
    --ngpu 1 \
    "${args[@]}"
