#!/usr/bin/env bash
# Fine-tune with each SSL model and layer of a list, score the word error rates of all, then write one report.
# Usage: local/sweep_ssl.sh [--list conf/ssl_models.txt] [options of run.sh]
# Stages 1-4 must be done; what is trained, enhanced or decoded already is kept, so the sweep can be killed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

list=conf/ssl_models.txt
if [ "${1:-}" = --list ]; then list=${2:?--list needs a file} && shift 2; fi
[ -r "${list}" ] || { echo "$0: no list ${list}" >&2 && exit 1; }

count=0
while read -r name upstream layers; do
    [[ -n "${name}" && "${name}" != \#* ]] || continue
    [ -n "${layers}" ] || { echo "$0: ${list}: ${name}: name, encoder and layers are needed" >&2 && exit 1; }
    for layer in ${layers}; do
        echo "### ${name}, layer ${layer}"
        this=(--layers "${layer}" --upstreams "${name}_layer${layer}=${upstream}")
        ./run.sh --metrics none "$@" --stage 5 --stop_stage 8 "${this[@]}" < /dev/null
        count=$((count + 1))
    done
done < "${list}"
[ "${count}" -gt 0 ] || { echo "$0: ${list}: no model in it" >&2 && exit 1; }
./run.sh --metrics none "$@" --stage 9 --stop_stage 9 "${this[@]}"
