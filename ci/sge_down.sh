#!/usr/bin/env bash
# Ends the Grid Engine of sge_up.sh and all its jobs; touches nothing but the processes recorded in DIR.
set -uo pipefail
dir=$(cd "${1:?usage: sge_down.sh DIR}" && pwd) || exit 1

pids=()
for file in "${dir}"/{execd,qmaster}.pid "${dir}"/spool/execd/*/execd.pid "${dir}"/spool/qmaster/qmaster.pid; do
    [ -s "${file}" ] && pids+=("$(cat "${file}")")
done
if [ -e "${dir}/ports" ]; then
    # shellcheck disable=SC1091
    . "${dir}/ports"
    timeout 10 qdel -f -u '*' >/dev/null 2>&1
    for _ in $(seq 30); do [ -z "$(timeout 5 qstat -u '*' 2>/dev/null)" ] && break; sleep 0.1; done
fi
[ ${#pids[@]} = 0 ] && exit 0
kill "${pids[@]}" 2>/dev/null
for _ in $(seq 50); do kill -0 "${pids[@]}" 2>/dev/null || break; sleep 0.1; done
kill -KILL "${pids[@]}" 2>/dev/null
rm -f "${dir}"/*.pid
exit 0
