#!/usr/bin/env bash
# The data stages of ESPnet's enhancement recipes with Kaldi's utils and with ours, side by side.
#
#   ESPNET=CHECKOUT [FORMAT=espnet] bench/espnet_recipes.sh [WORK] [RECIPE...]
#
# Each recipe's local/data.sh runs on a stand-in corpus of short sounds, then stages 2 to 4 of its enh.sh or
# enh_asr.sh (speed perturbation, formatting, removal of short utterances), once with egs2/TEMPLATE/asr1/utils of
# the checkout and once with ours. FORMAT=espnet formats the audio; without it only the lists of it are made.
# Every list that Kaldi's utils leave must have the same lines in ours.
# shellcheck disable=SC2034 # variables of the recipes
set -euo pipefail

usage="usage: ESPNET=CHECKOUT bench/espnet_recipes.sh [WORK] [RECIPE...]"
: "${ESPNET:?${usage}}"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(realpath -m "${1:-/tmp/espnet_recipes}")
shift || true
corpus=${work}/corpus run=${work}/run/espnet
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
export PATH=${work}/bin:${root}/.venv/bin:${PATH} LC_ALL=C PYTHONPATH=${root}:${ESPNET} PYTHONWARNINGS=ignore
# shellcheck source=bench/espnet_corpora.sh
. "${here}/espnet_corpora.sh"

# Programs that recipes fetch data with, or that few machines have.
programs() {
    mkdir -p "${work}/bin"
    for name in git wget flac unzip; do printf '#!/bin/sh\nexit 0\n' > "${work}/bin/${name}"; done
    # shellcheck disable=SC2016
    printf '#!/usr/bin/env bash\nexec sox "${@: -1}" -t wav -\n' > "${work}/bin/sph2pipe"
    chmod +x "${work}"/bin/*
}

# The recipe as a user has it, with one of the two utils.
checkout() {
    rm -rf "${run}"
    mkdir -p "${run}/egs2/TEMPLATE" "${run}/tools" "$(dirname "${run}/egs2/$1")"
    cp -r "${ESPNET}"/egs2/TEMPLATE/{asr1,enh1,enh_asr1} "${run}/egs2/TEMPLATE/"
    for other in wsj/asr1 wsj0_2mix/enh1 librispeech/asr1 mini_an4/asr1 "${1%/*}/enh1" "${1%/*}/asr1" "$1"; do
        mkdir -p "${run}/egs2/${other%/*}"
        [ ! -d "${ESPNET}/egs2/${other}" ] || [ -e "${run}/egs2/${other}" ] || cp -r "${ESPNET}/egs2/${other}" "${run}/egs2/${other}"
    done
    for other in utils steps; do # of some recipes they lead to a Kaldi below tools/
        [ -e "${run}/egs2/$1/${other}" ] || ln -sfn "../../TEMPLATE/asr1/${other}" "${run}/egs2/$1/${other}"
    done
    cp "${ESPNET}/tools/extra_path.sh" "${run}/tools/"
    ln -s "${ESPNET}/utils" "${run}/utils"
    [ "${FORMAT:-}" = espnet ] || cp "${here}/espnet_format.py" "${run}/egs2/TEMPLATE/asr1/pyscripts/audio/format_wav_scp.py"
    if [ "$2" = ours ]; then
        rm -r "${run}/egs2/TEMPLATE/asr1/utils"
        ln -s "${root}/utils" "${run}/egs2/TEMPLATE/asr1/utils"
    fi
}

# The lists of a finished run, as paths below data/ and dump/.
lists() {
    (cd "$1" && find -L data dump -type f -size -1024k ! -path '*/.backup/*' ! -path '*/logs/*' ! -path '*/tmp*' \
        ! -path '*/split*' ! -path '*/q/*' ! -path 'dump/*/data/*' ! -path '*/log/*' \
        ! -name '*.wav' ! -name '*.flac' ! -name '*.log' 2> /dev/null | sort)
}

# The entries of a list, whatever blanks separate them.
entries() { sed -e 's/[ \t]\+/ /' -e 's/[ \t]*$//' "$1"; }

# compare RECIPE: a line of the table.
compare() {
    local kaldi=${work}/done/$1/kaldi ours=${work}/done/$1/ours same=0 bad=() file
    while read -r file; do
        if [ -e "${ours}/${file}" ] && cmp -s <(entries "${kaldi}/${file}") <(entries "${ours}/${file}"); then same=$((same + 1)); else bad+=("${file}"); fi
    done < <(lists "${kaldi}")
    printf '| %s | %s | %s |' "$1" "${same}" "$(comm -13 <(lists "${kaldi}") <(lists "${ours}") | grep -c . || true)"
    [ "${#bad[@]}" = 0 ] && echo " same |" || echo " DIFFER: ${bad[*]} |"
}

programs
sounds
[ $# -gt 0 ] || mapfile -t recipes < <(declare -F | sed -n 's/^declare -f corpus_//p')
[ $# -eq 0 ] || recipes=("${@//\//_}")
for name in "${recipes[@]}"; do
    prepare="local/data.sh" enh="" db="" number=0
    "corpus_${name}"
    for which in kaldi ours; do
        checkout "${recipe}" "${which}"
        mkdir -p "${work}/done/${recipe}"
        rm -rf "${work}/done/${recipe:?}/${which}"
        cd "${run}/egs2/${recipe}"
        rm -f db.sh && echo "${db}" > db.sh
        if (eval "${prepare}" && { [ -z "${enh}" ] || eval "${enh}"; }) > "${work}/done/${recipe}/${which}.log" 2>&1 < /dev/null; then
            status=0
        else
            status=$?
            echo "${recipe}: ${which}: status ${status}, see ${work}/done/${recipe}/${which}.log" >&2
        fi
        mkdir -p "${work}/done/${recipe}/${which}"
        mv data dump "${work}/done/${recipe}/${which}/" 2> /dev/null || true
        cd "${work}"
    done
    compare "${recipe}"
done
