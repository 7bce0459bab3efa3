#!/usr/bin/env bash
# shellcheck disable=SC1091,SC2034 # the sourced files are those of the recipe
# Calls of a LibriMix preparation: tables of mixtures with two sources and a noise; no transcripts.
set -euo pipefail
help_message="Usage: $0 [--min_or_max min|max] [--sample_rate 8k|16k] CORPUS"
min_or_max=min
sample_rate=16k
. utils/parse_options.sh
. ./path.sh
top=$1/Libri2Mix/wav${sample_rate}/${min_or_max}/metadata

for set in dev test train; do
    dir=data/${set}
    mkdir -p ${dir}
    for table in "${top}/mixture_${set}"*_mix_both.csv; do
        grep -v mixture_ID "${table}"
    done | sort -u > ${dir}/rows
    column=2
    for name in wav spk1 spk2 noise1; do
        awk -F, -v column=${column} '{print $1, $column}' ${dir}/rows > ${dir}/${name}.scp
        column=$((column + 1))
    done
    rm ${dir}/rows
    awk '{print $1, $1}' ${dir}/wav.scp > ${dir}/utt2spk # every mixture is its own speaker
    cp ${dir}/utt2spk ${dir}/spk2utt
    awk '{print $1, "2speaker_noise"}' ${dir}/wav.scp > ${dir}/utt2category
    utils/validate_data_dir.sh --no-feats --no-text ${dir}
done
utils/subset_data_dir.sh --first data/train 4 data/train_small
awk '{print $1}' data/test/wav.scp | head -n 2 > data/keep
utils/subset_data_dir.sh --utt-list data/keep data/test data/test_small
