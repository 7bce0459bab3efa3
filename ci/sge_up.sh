#!/usr/bin/env bash
# A real Grid Engine on this machine for tests: one host with 4 slots, 20 GB of ram_free and 2 gpu to give away,
# queues all.q and g.q, parallel environment smp. Private: own root folder, own spool, own ports. Needs root.
#   eval "$(ci/sge_up.sh DIR)"     sets SGE_ROOT and the rest;  ci/sge_down.sh DIR ends it.
set -euo pipefail
dir=${1:?usage: sge_up.sh DIR (a new folder for its state)}

if [ "$(id -u)" != 0 ]; then echo "sge_up.sh: needs root" >&2; exit 77; fi
packages=(gridengine-master gridengine-exec gridengine-client)
if ! command -v sge_qmaster sge_execd qsub >/dev/null; then
    (
        flock 9
        # Debian would start the services that it installs; these are to run in DIR only.
        deny=/usr/sbin/policy-rc.d
        [ -e "${deny}" ] || { printf '#!/bin/sh\nexit 101\n' >"${deny}"; chmod +x "${deny}"; made_deny=1; }
        export DEBIAN_FRONTEND=noninteractive
        debconf-set-selections <<EOF
gridengine-common shared/gridengineconfig boolean false
EOF
        apt-get install -y -qq --no-install-recommends "${packages[@]}" ||
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}"; } ||
            { echo "sge_up.sh: cannot install ${packages[*]}"; exit 77; }
        [ -z "${made_deny:-}" ] || rm "${deny}"
    ) >&2 9>/run/lock/espnet_posinv_apt
fi

mkdir -p "${dir}"
dir=$(cd "${dir}" && pwd)
mkdir -p "${dir}"/{spool/qmaster/job_scripts,spool/execd,db,conf,root/default/common}
for part in bin lib util utilbin; do ln -sfn "/var/lib/gridengine/${part}" "${dir}/root/${part}"; done

# Ports where nobody listens; another instance may be starting at the same time.
taken() { local p; for p in 0 1; do (: <"/dev/tcp/127.0.0.1/$(($1 + p))") 2>/dev/null && return; done; return 1; }
port=$((20000 + $$ % 1000 * 10))
while taken "${port}"; do port=$((port + 10)); done
settings="export SGE_ROOT=${dir}/root SGE_CELL=default SGE_QMASTER_PORT=${port} SGE_EXECD_PORT=$((port + 1))"
eval "${settings}"
echo "${settings}" >"${dir}/ports"

common=${dir}/root/default/common
cat >"${common}/bootstrap" <<EOF
admin_user              root
default_domain          none
ignore_fqdn             false
spooling_method         berkeleydb
spooling_lib            libspoolb
spooling_params         ${dir}/db
binary_path             /usr/sbin
qmaster_spool_dir       ${dir}/spool/qmaster
security_mode           none
listener_threads        2
worker_threads          2
scheduler_threads       1
EOF
echo "localhost $(hostname)" >"${common}/host_aliases" # 127.0.0.1 is localhost, but the machine has another name
echo localhost >"${common}/act_qmaster"

change() { sed -E "$(printf 's#^(%s) .*#\\1 %s#;' "$@")"; } # change NAME VALUE ...: of a configuration's lines
wait_for() { for _ in $(seq 200); do "$@" >/dev/null 2>&1 && return; sleep 0.05; done; echo "sge_up.sh: timed out: $*"; return 1; }
up() { qstat -f | grep -qE 'lx-[a-z0-9]+ *$'; } # a queue without the state "unknown"

{
    share=/usr/share/gridengine lib=/usr/lib/gridengine
    change execd_spool_dir "${dir}/spool/execd" min_uid 0 min_gid 0 load_report_time 00:00:03 \
        max_unheard 00:00:20 reschedule_unknown 00:00:10 mailer /bin/true \
        reporting_params "accounting=true reporting=false flush_time=00:00:01 accounting_flush_time=00:00:00 joblog=false" \
        <"${share}/default-configuration" >"${dir}/conf/global"
    "${lib}/spoolinit" berkeleydb libspoolb "${dir}/db" init
    "${lib}/spooldefaults" configuration "${dir}/conf/global"
    "${lib}/spooldefaults" complexes "${share}/util/resources/centry"
    "${lib}/spooldefaults" usersets "${share}/util/resources/usersets"
    "${lib}/spooldefaults" managers root

    SGE_QMASTER_PIDFILE=${dir}/qmaster.pid sge_qmaster
    wait_for qconf -sh
    cd "${dir}/conf"
    qconf -as localhost
    qconf -ssconf | change schedule_interval 0:0:1 flush_submit_sec 1 flush_finish_sec 1 job_load_adjustments NONE >sched
    qconf -Msconf sched
    { qconf -sc; echo "ram_free rf MEMORY <= YES YES 0 0"; echo "gpu gpu INT <= YES YES 0 0"; } >complex
    qconf -Mc complex
    cat >host <<EOF
hostname localhost
load_scaling NONE
complex_values gpu=2,ram_free=20G,slots=4
user_lists NONE
xuser_lists NONE
projects NONE
xprojects NONE
usage_scaling NONE
report_variables NONE
EOF
    qconf -Ae host
    printf 'group_name @allhosts\nhostlist localhost\n' >group
    qconf -Ahgrp group
    cat >pe <<EOF
pe_name smp
slots 999
user_lists NONE
xuser_lists NONE
start_proc_args NONE
stop_proc_args NONE
allocation_rule \$pe_slots
control_slaves FALSE
job_is_first_task TRUE
urgency_slots min
accounting_summary FALSE
qsort_args NONE
EOF
    qconf -Ap pe
    for name in all.q g.q; do
        qconf -sq | change qname "${name}" hostlist @allhosts slots 4 pe_list smp load_thresholds NONE \
            shell /bin/bash rerun TRUE >queue
        qconf -Aq queue
    done
    SGE_EXECD_PIDFILE=${dir}/execd.pid sge_execd
    wait_for up
} >&2 </dev/null
echo "${settings}"
