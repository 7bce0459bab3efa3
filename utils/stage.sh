# shellcheck shell=bash
# stage NUMBER TITLE [--key OPTIONS] [--reads PATH...] [--writes PATH...]: true when the stage has to run.
# stage_done: what it declared is checked, and it is stamped. To be sourced; see espnet_posinv/recipe/stage.py.
# Uses the recipe's variables: stage stop_stage expdir redo list_stages dry_run python.

_stage_plan=$(mktemp)
trap 'rm -f "${_stage_plan}"' EXIT

stage() {
    local mode=run status=0
    if ${list_stages:-false}; then mode=list; elif ${dry_run:-false}; then mode=dry-run; fi
    _stage_number=$1 _stage_started=$(date +%s)
    # shellcheck disable=SC2154
    ${python} -m espnet_posinv.recipe.stage begin --plan "${_stage_plan}" --stamps "${expdir}/.stages" \
        --range "${stage}" "${stop_stage}" --mode "${mode}" --redo "${redo:-false}" "$@" || status=$?
    case ${status} in
        0) return 0 ;;
        3) return 1 ;;
        *) exit 1 ;;
    esac
}

stage_done() {
    ${python} -m espnet_posinv.recipe.stage end --plan "${_stage_plan}" --stamps "${expdir}/.stages" \
        --started "${_stage_started}" "${_stage_number}" || exit 1
}
