#!/usr/bin/env bash
# Ends the Slurm of slurm_up.sh and all its jobs; touches nothing but the processes recorded in DIR.
set -uo pipefail
dir=$(cd "${1:?usage: slurm_down.sh DIR}" && pwd) || exit 1
export SLURM_CONF=${dir}/slurm.conf

timeout 5 scancel --full --user=root 2>/dev/null
timeout 5 scancel --signal=KILL --full --user=root 2>/dev/null
for _ in $(seq 50); do
    [ -z "$(timeout 5 squeue -h -t running,completing 2>/dev/null)" ] && break
    sleep 0.1
done

pids=()
for file in "${dir}"/run/*.pid; do [ -s "${file}" ] && pids+=("$(cat "${file}")"); done
[ ${#pids[@]} = 0 ] && exit 0
kill "${pids[@]}" 2>/dev/null
for _ in $(seq 50); do kill -0 "${pids[@]}" 2>/dev/null || break; sleep 0.1; done
kill -KILL "${pids[@]}" 2>/dev/null
rm -f "${dir}"/run/*.pid
exit 0
