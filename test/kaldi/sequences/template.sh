#!/usr/bin/env bash
# shellcheck disable=SC1091,SC2034 # the sourced files are those of the recipe
# What an enhancement template does to a data directory: format the audio, drop what is too short, split.
set -euo pipefail
fs=16k
audio_format=wav
signals="spk1"
ref_channels=
min_samples=0
nj=2
. utils/parse_options.sh
. ./path.sh
set=$1

utils/copy_data_dir.sh --validate_opts --non-print "data/${set}" "dump/org/${set}"
rm -f "dump/org/${set}"/{segments,wav.scp}
for signal in ${signals} wav; do
    rm -f "dump/org/${set}/${signal}.scp"
    opts=()
    if [ -e "data/${set}/segments" ]; then opts+=(--segments "data/${set}/segments"); fi
    if [ -n "${ref_channels}" ] && [ "${signal}" = wav ]; then opts+=(--ref-channels "${ref_channels}"); fi
    scripts/audio/format_wav_scp.sh --nj "${nj}" --out-filename "${signal}.scp" --fs "${fs}" \
        --audio-format "${audio_format}" "${opts[@]}" "data/${set}/${signal}.scp" \
        "dump/org/${set}" "dump/org/${set}/logs/${signal}" "dump/org/${set}/data/${signal}"
done
echo raw > "dump/org/${set}/feats_type"

utils/copy_data_dir.sh "dump/org/${set}" "dump/${set}"
awk -v least="${min_samples}" '$2 > least' "dump/org/${set}/utt2num_samples" > "dump/${set}/utt2num_samples"
for signal in ${signals} wav; do
    utils/filter_scp.pl "dump/${set}/utt2num_samples" < "dump/org/${set}/${signal}.scp" \
        > "dump/${set}/${signal}.scp"
done
utils/fix_data_dir.sh --utt_extra_files "${signals// /.scp }.scp" "dump/${set}"

mkdir -p "exp/${set}"
utils/split_scp.pl "dump/${set}/wav.scp" "exp/${set}/keys.1.scp" "exp/${set}/keys.2.scp"
utils/validate_data_dir.sh --no-feats --no-text --check-audio --fs "${fs}" "dump/${set}"
