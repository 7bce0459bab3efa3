#!/usr/bin/env bash
# shellcheck disable=SC1091,SC2034 # the sourced files are those of the recipe
# Calls of a CHiME-4 preparation, 6-channel track: one file per channel, joined by pipes; texts beside.
set -euo pipefail
help_message="Usage: $0 [--extra-annotations DIR] CORPUS"
extra_annotations=
. utils/parse_options.sh || exit 1
. ./path.sh
if [ $# -ne 1 ] || [ -z "${extra_annotations}" ]; then
    echo "${help_message}"
    exit 2
fi
corpus=$1
utils=${PWD}/utils

for kind in real simu; do
    dir=data/tr05_${kind}
    tmp=data/local/${kind}
    mkdir -p ${dir} ${tmp}
    for ch in 1 3 4 5 6; do
        find "${corpus}/" -name "*_${kind}.CH${ch}.wav" | sort -u > ${tmp}/ch${ch}.flist
        sed -e 's:.*/::' -e "s:_${kind}\.CH${ch}\.wav:_${kind^^}:" ${tmp}/ch${ch}.flist > ${tmp}/ids
        paste -d ' ' ${tmp}/ids ${tmp}/ch${ch}.flist | sort -k 1 > ${tmp}/ch${ch}.scp
    done
    mix-mono-wav-scp.py ${tmp}/ch{1,3,4,5,6}.scp > ${dir}/wav.scp
    sed -E 's#\.CH1\.wav#.CH0.wav#' ${tmp}/ch1.scp > ${dir}/spk1.scp
    awk '{print $1}' ${dir}/wav.scp > ${tmp}/utt
    awk -F_ '{print $1}' ${dir}/wav.scp > ${tmp}/spk
    paste -d ' ' ${tmp}/utt ${tmp}/spk > ${dir}/utt2spk
    # shellcheck disable=SC2002 # scripts call it so
    cat ${dir}/utt2spk | "${utils}/utt2spk_to_spk2utt.pl" > ${dir}/spk2utt
    # Lines 'some words (id)' of the annotations.
    sed -e 's:(\(.*\))$:\1:' "${extra_annotations}/tr05_${kind}.dot" | awk -v kind=${kind^^} \
        '{printf "%s_%s", $NF, kind; for (k = 1; k < NF; k++) printf " %s", toupper($k); print ""}' |
        sort > ${dir}/text
    awk -v kind=${kind} '{print $1, "CH_" kind}' ${dir}/wav.scp > ${dir}/utt2category
    utils/fix_data_dir.sh --utt_extra_files "spk1.scp utt2category" ${dir}
    utils/validate_data_dir.sh --no-feats ${dir}
done
utils/combine_data.sh --extra_files "utt2category spk1.scp" data/tr05_multi data/tr05_simu data/tr05_real
