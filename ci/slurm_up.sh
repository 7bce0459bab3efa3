#!/usr/bin/env bash
# A real Slurm on this machine for tests: controller, three virtual nodes ci-n1..ci-n3 (2 cores, 16 GB, 2 fake GPUs
# each), partitions cpu, gpu (ci-n2, ci-n3) and urgent, whose jobs take the place of others. Private in every way:
# own folder, own key, own ports. Needs root.
#   eval "$(ci/slurm_up.sh DIR)"     sets SLURM_CONF;  ci/slurm_down.sh DIR ends it.
set -euo pipefail
dir=${1:?usage: slurm_up.sh DIR (a new folder for its state)}

if [ "$(id -u)" != 0 ]; then echo "slurm_up.sh: needs root" >&2; exit 77; fi
packages=(slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge)
if ! command -v slurmctld slurmd squeue munged >/dev/null; then
    (
        flock 9
        # Debian would start the services that it installs; these are to run in DIR only.
        deny=/usr/sbin/policy-rc.d
        [ -e "${deny}" ] || { printf '#!/bin/sh\nexit 101\n' >"${deny}"; chmod +x "${deny}"; made_deny=1; }
        export DEBIAN_FRONTEND=noninteractive
        apt-get install -y -qq --no-install-recommends "${packages[@]}" ||
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}"; } ||
            { echo "slurm_up.sh: cannot install ${packages[*]}" ; exit 77; }
        [ -z "${made_deny:-}" ] || rm "${deny}"
    ) >&2 9>/run/lock/espnet_posinv_apt
fi

mkdir -p "${dir}"
dir=$(cd "${dir}" && pwd)
mkdir -p "${dir}"/{state,log,run,dev,munge} "${dir}"/spool/ci-n{1,2,3}
for i in 0 1; do [ -e "${dir}/dev/nvidia${i}" ] || mknod "${dir}/dev/nvidia${i}" c 1 3; done # behave as /dev/null

# Ports where nobody listens; another instance may be starting at the same time.
taken() { local p; for p in 0 1 2 3; do (: <"/dev/tcp/127.0.0.1/$(($1 + p))") 2>/dev/null && return; done; return 1; }
port=$((20000 + $$ % 1000 * 10))
while taken "${port}"; do port=$((port + 10)); done

host=$(hostname)
cat >"${dir}/slurm.conf" <<EOF
ClusterName=ci
SlurmctldHost=${host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=${dir}/munge/socket
CredType=cred/munge
SlurmctldPort=${port}
StateSaveLocation=${dir}/state
SlurmdSpoolDir=${dir}/spool/%n
SlurmctldPidFile=${dir}/run/slurmctld.pid
SlurmdPidFile=${dir}/run/slurmd.%n.pid
SlurmctldLogFile=${dir}/log/slurmctld.log
SlurmdLogFile=${dir}/log/slurmd.%n.log
# No control groups: works in any container. Memory is polled, and a job over its limit killed.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
# The nodes are as large as we say, whatever the machine has.
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
# Quick decisions: a test should not wait for what only matters to thousands of jobs.
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1,requeue_delay=1
# A job that has to give way is warned, has GraceTime left, and goes back into the queue.
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
EnforcePartLimits=ALL
ReturnToService=2
SlurmdTimeout=10
KillWait=3
MessageTimeout=5
MinJobAge=300
MpiDefault=none
GresTypes=gpu
NodeName=ci-n[1-3] NodeHostName=${host} NodeAddr=127.0.0.1 Port=[$((port + 1))-$((port + 3))] CPUs=2 RealMemory=16000 Gres=gpu:fake:2
PartitionName=cpu Nodes=ci-n[1-3] Default=YES DefMemPerCPU=500 MaxTime=INFINITE GraceTime=60 State=UP
PartitionName=gpu Nodes=ci-n[2-3] DefMemPerCPU=500 MaxTime=60 State=UP
PartitionName=urgent Nodes=ci-n[1-3] DefMemPerCPU=500 PriorityTier=2 PreemptMode=OFF State=UP
EOF
printf 'AutoDetect=off\nNodeName=ci-n[1-3] Name=gpu Type=fake File=%s/dev/nvidia[0-1]\n' "${dir}" >"${dir}/gres.conf"
echo 'CgroupPlugin=cgroup/v1' >"${dir}/cgroup.conf" # lets slurmd start where /sys/fs/cgroup is absent

export SLURM_CONF=${dir}/slurm.conf
down=$(dirname "${BASH_SOURCE[0]}")/slurm_down.sh
trap '[ $? = 0 ] || "${down}" "${dir}"' EXIT # nothing stays of what did not come up as a whole
{
    chmod 700 "${dir}/munge"
    head -c 1024 /dev/urandom >"${dir}/munge/key" && chmod 400 "${dir}/munge/key"
    munged --force --key-file="${dir}/munge/key" --socket="${dir}/munge/socket" --num-threads=2 \
        --pid-file="${dir}/run/munged.pid" --log-file="${dir}/log/munged.log" --seed-file="${dir}/munge/seed"
    slurmctld
    for node in ci-n1 ci-n2 ci-n3; do slurmd -N "${node}"; done
    for _ in $(seq 200); do
        [ "$(sinfo -h -p cpu -N -o %T 2>/dev/null | grep -c idle)" = 3 ] && break
        sleep 0.05
    done
    if [ "$(sinfo -h -p cpu -N -o %T | grep -c idle)" != 3 ]; then
        echo "slurm_up.sh: the nodes did not come up"; sinfo || true; tail -n 5 "${dir}"/log/*.log
        exit 1
    fi
} >&2
echo "export SLURM_CONF=${SLURM_CONF}"
