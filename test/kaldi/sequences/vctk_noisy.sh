#!/usr/bin/env bash
# shellcheck disable=SC1091,SC2034 # the sourced files are those of the recipe
# Calls of a VoiceBank-DEMAND preparation: folders of noisy and clean files with equal names.
set -euo pipefail
help_message="Usage: $0 [--valid-spk ID] CORPUS"
valid_spk=p287
. utils/parse_options.sh
. ./path.sh
corpus=$1

tmp=data/local
mkdir -p "${tmp}"
find "${corpus}/noisy_trainset_28spk_wav" -name '*.wav' -not -name "${valid_spk}_*" | sort -u > ${tmp}/tr.flist
find "${corpus}/noisy_trainset_28spk_wav" -name "${valid_spk}_*" | sort -u > ${tmp}/cv.flist
find "${corpus}/noisy_testset_wav" -name '*.wav' | sort -u > ${tmp}/tt.flist
for set in tr cv tt; do
    dir=data/${set}
    mkdir -p ${dir}
    sed -e 's:.*/::' -e 's:\.wav$::' ${tmp}/${set}.flist > ${tmp}/${set}.ids
    paste ${tmp}/${set}.ids ${tmp}/${set}.flist | sort -k1,1 > ${dir}/wav.scp # separated by a tab
    sed -e 's:noisy_:clean_:g' ${dir}/wav.scp > ${dir}/spk1.scp
    awk '{split($1, part, "_"); print $1, part[1]}' ${dir}/wav.scp > ${dir}/utt2spk
    awk '{print $1, "dummy"}' ${dir}/wav.scp > ${dir}/text
    utt2spk_to_spk2utt.pl ${dir}/utt2spk > ${dir}/spk2utt # found through PATH
    utils/validate_data_dir.sh --no-feats ${dir}
done

# Speed-perturbed copies of noisy and clean speech, as the template makes them for training.
for factor in 0.9 1.1; do
    utils/perturb_data_dir_speed.sh "${factor}" data/tr "data/tr_sp${factor}"
done
utils/combine_data.sh --extra_files "spk1.scp" data/tr_sp data/tr data/tr_sp0.9 data/tr_sp1.1
