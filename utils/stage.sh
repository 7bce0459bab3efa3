# shellcheck shell=bash
# stage NUMBER TITLE [--key OPTIONS] [--reads PATH...] [--writes PATH...]: true when the stage has to run.
# stage_done: what it declared is checked, and it is stamped. To be sourced; see espnet_posinv/recipe/stage.py.
# as_made PRODUCT [--folder] --reads PATH... [--value NAME=VALUE]...: true when it is there and was made from these,
# else it is to be made, and what there is of an old one is gone; see espnet_posinv/recipe/made_from.py.
# submit LAUNCHER LOG COMMAND...: see submit.sh, which is sourced here.
# beside N COMMAND...: start it beside others, at most N at a time; all_done: wait for them, stop if one failed.
# alone FOLDER [--shared]: hold a folder for this run, or beside others that share it; else stop with who holds it.
# Uses the recipe's variables: stage stop_stage expdir redo list_stages dry_run python.

. "$(dirname "${BASH_SOURCE[0]}")/submit.sh"

_stage_plan=$(mktemp)

# A full disk is the cause of many messages, few of which say so.
_end() {
    local status=$? folder left full=''
    set +e
    if [ ${status} != 0 ]; then
        for folder in "${expdir:-.}" "${dumpdir:-.}" "${datadir:-.}" "${TMPDIR:-/tmp}"; do
            while [ ! -d "${folder}" ]; do folder=$(dirname "${folder}"); done
            left=$( (df -Pk "${folder}"; df -Pi "${folder}") 2> /dev/null | awk '/%/ && $4 ~ /^[0-9]+$/ {print $4}' | xargs)
            [ -n "${left}" ] || continue
            if [ "${left%% *}" -lt 1024 ] || { [ "${left##* }" -lt 8 ] && [ "${left##* }" != 0 ]; }; then
                full=${full:-"${folder}: ${left%% *} kB left"}
            fi
        done
        folder=$(find "${expdir:-.}" "${dumpdir:-.}" -name '*.log' -newer "${_stage_plan}" -exec \
            grep -lE 'No space left on device|Disk quota exceeded|the disk is full' {} + 2> /dev/null | head -n 1)
        full=${full:-${folder:+see ${folder}}}
        [ -z "${full}" ] || echo "$0: the disk is full (${full}): make room and run again, what is done is kept" >&2
    fi
    rm -f "${_stage_plan}"
}
trap _end EXIT

stage() {
    local mode=run status=0
    if ${list_stages:-false}; then mode=list; elif ${dry_run:-false}; then mode=dry-run; fi
    _stage_number=$1 _stage_started=$(date +%s)
    # shellcheck disable=SC2154
    ${python} -m espnet_posinv recipe stage-begin --plan "${_stage_plan}" --stamps "${expdir}/.stages" \
        --range "${stage}" "${stop_stage}" --mode "${mode}" --redo "${redo:-false}" "$@" || status=$?
    case ${status} in
        0) return 0 ;;
        3) return 1 ;;
        *) exit 1 ;;
    esac
}

stage_done() {
    ${python} -m espnet_posinv recipe stage-end --plan "${_stage_plan}" --stamps "${expdir}/.stages" \
        --started "${_stage_started}" "${_stage_number}" || exit 1
}

alone() {
    local file=$1/.lock mode=-x fd holder waited=0
    [ -z "${2:-}" ] || mode=-s
    mkdir -p "$1"
    exec {fd}>> "${file}"
    until flock -n ${mode} "${fd}"; do
        holder=$(cat "${file}")
        # The jobs of a run that was killed end a moment after it.
        if [[ ${holder} == "$(uname -n)":* ]] && ! kill -0 "$(cut -d: -f2 <<< "${holder}")" 2> /dev/null && [ ${waited} -lt 30 ]; then
            waited=$((waited + 1)) && sleep 1
            continue
        fi
        echo "$0: another run works in $1: $(cut -d: -f3- <<< "${holder}"); wait for it, or stop it" >&2
        exit 1
    done
    echo "$(uname -n):$$:process $$ on $(uname -n), $(id -un), since $(date '+%F %T'): $0 --stage ${stage} --stop_stage ${stop_stage}" > "${file}"
}

as_made() {
    local status=0
    ${python} -m espnet_posinv recipe made-from "$@" --redo "${redo:-false}" --cache "${expdir}/.stages/contents" || status=$?
    case ${status} in
        0) return 0 ;;
        3) return 1 ;;
        *) exit 1 ;;
    esac
}

_beside_groups=()

# _ends_with_run GROUP: end a group when the run is gone, killed without a word: its jobs would go on writing
# what the next run writes.
_ends_with_run() {
    while kill -0 "$1" 2> /dev/null; do
        kill -0 "$$" 2> /dev/null || kill -TERM -- "-$1"
        sleep 1
    done
}

# Each command is a process group of its own, so that all it started can be ended with it.
beside() {
    local most=$1; shift
    while [ "$(jobs -rp | wc -l)" -ge "${most}" ]; do wait -n || true; done
    set -m; (set +m; group=${BASHPID}; _ends_with_run "${group}" & "$@") & set +m
    _beside_groups+=("$!")
}

# By number: of what has ended before it is waited for, bash remembers the status of these only.
all_done() {
    local group status=0
    for group in "${_beside_groups[@]}"; do wait "${group}" || status=1; done
    _beside_groups=()
    [ ${status} = 0 ] || exit 1
}

_end_groups() {
    local group
    trap - HUP INT TERM
    for group in "${_beside_groups[@]}"; do kill -TERM -- "-${group}" 2> /dev/null || true; done
    exit "$1"
}
trap '_end_groups 129' HUP
trap '_end_groups 130' INT
trap '_end_groups 143' TERM
