#!/usr/bin/env bash
# Make <data>/{<train_set>,dev,test_clean,test_clean_seen,test_clean_unseen} and <data>/noise.
# shellcheck disable=SC1091,SC2034
set -euo pipefail

data=data                    # where the data directories go
parts=train-clean-100        # parts of LibriSpeech to train on; several between commas
train_set=train_clean_100    # name of the training set
every=5                      # one of so many utterances of dev-clean validates
snrs=5,10,20                 # SNRs in dB, of which one is drawn for each utterance
channel=1                    # microphone of DEMAND
seed=0                       # of the validation and test mixtures
nj=$(nproc)                  # jobs that mix
cmd_backend=local            # local, slurm or sge: where they run
help_message="Usage: $0 [--option value]...
$(sed -n 's/^\([a-z_]*\)=\([^#]*\)  *# \(.*\)/  --\1 \2  \3/p' "${BASH_SOURCE[0]}")"

cd "$(dirname "${BASH_SOURCE[0]}")/.."
. utils/parse_options.sh
. ./path.sh
. ./cmd.sh
. ./db.sh
. utils/submit.sh

# Clean speech of LibriSpeech: speech TARGET OPTIONS...
speech() {
    python3 -m espnet_posinv data librispeech --librispeech "${LIBRISPEECH}" --downloads downloads "$@"
}

# Noisy speech: mix CLEAN NOISY NOISES; jobs make the audio, the last call the directory.
mix() {
    local n options
    n=$(wc -l < "$1/wav.scp") && n=$((n < nj ? n : nj))
    # shellcheck disable=SC2206
    options=(--noise-scp "${data}/noise/$3.scp" --seed "${seed}" --snrs ${snrs//,/ } --jobs "${n}")
    # shellcheck disable=SC2154
    submit "${train_cmd}" JOB=1:"${n}" "$2/log/mix.JOB.log" \
        python3 -m espnet_posinv data mix-data-dir --job JOB "${options[@]}" "$1" "$2"
    python3 -m espnet_posinv data mix-data-dir "${options[@]}" "$1" "$2"
}

[ -n "${WHISPER}" ] || python3 -m espnet_posinv fetch --downloads downloads whisper-base
# shellcheck disable=SC2086
speech "${data}/${train_set}" --parts ${parts//,/ }
speech "${data}/dev_clean" --parts dev-clean --every "${every}"
# shellcheck disable=SC2046
speech "${data}/test_clean" --parts test-clean $([ -n "${LEXICON}" ] || echo --lexicon)
python3 -m espnet_posinv data demand --demand "${DEMAND}" --downloads downloads --channel "${channel}" "${data}/noise"
mix "${data}/dev_clean" "${data}/dev" valid
mix "${data}/test_clean" "${data}/test_clean_seen" seen
mix "${data}/test_clean" "${data}/test_clean_unseen" unseen
