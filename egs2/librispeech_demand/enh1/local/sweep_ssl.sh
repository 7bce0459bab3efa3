#!/usr/bin/env bash
# Fine-tune with each SSL model and layer of a list, score the word error rates of all, then write one report.
# Usage: local/sweep_ssl.sh [--list conf/ssl_models.txt] [options of run.sh]
# Stages 1-4 must be done; what is trained, enhanced or decoded already is kept, so the sweep can be killed.
# shellcheck disable=SC1091
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. ./path.sh

list=conf/ssl_models.txt
if [ "${1:-}" = --list ]; then list=${2:?--list needs a file} && shift 2; fi
[ -r "${list}" ] || { echo "$0: no list ${list}" >&2 && exit 1; }

models=() uses=()  # NAME=ENCODER and layer of each experiment
while read -r name upstream layers; do
    [[ -n "${name}" && "${name}" != \#* ]] || continue
    [ -n "${layers}" ] || { echo "$0: ${list}: ${name}: name, encoder and layers are needed" >&2 && exit 1; }
    for layer in ${layers}; do models+=("${name}_layer${layer}=${upstream}") uses+=("${layer}"); done
done < "${list}"
[ ${#models[@]} -gt 0 ] || { echo "$0: ${list}: no model in it" >&2 && exit 1; }

# All are loaded once before the first is trained: a wrong name in the last line should not show up days later.
for i in "${!models[@]}"; do
    python3 -m espnet_posinv recipe choices --upstream "${models[i]}" \
        --set "criterions.0.conf.layers=${uses[i]}" conf/criterion/ssl_mse.yaml
done
for i in "${!models[@]}"; do
    echo "### ${models[i]}"
    this=(--layers "${uses[i]}" --upstreams "${models[i]}")
    ./run.sh --metrics none "$@" --stage 5 --stop_stage 8 "${this[@]}" < /dev/null
done
./run.sh --metrics none "$@" --stage 9 --stop_stage 9 "${this[@]}"
