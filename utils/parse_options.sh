# shellcheck shell=bash
# Sourced by scripts: sets the script's variables from its command line, and leaves the other arguments.
#
#   stage=1
#   help_message="Usage: $0 [--stage N]"
#   . utils/parse_options.sh
#
# --stop-stage 3, --stop_stage 3 and --stop-stage=3 set the variable stop_stage, which must be defined
# before; a variable that is true or false stays one of them, and --flag alone means --flag true. --config FILE reads lines NAME=VALUE (the
# command line comes first wherever it stands); --help prints $help_message. Values are text: nothing in
# them is run. Parsing ends at the first argument that does not begin with "--"; that one, and what
# follows, remains as $1, $2, ...

# Message and end of the calling script. (Functions are forgotten below, so they do not leak.)
__po_die() {
    echo "$0: $*" >&2
    exit 1
}

# __po_set WHERE NAME VALUE: set a variable that exists.
__po_set() {
    # Only names may reach printf -v and indirection: a subscript would be evaluated.
    [[ "$2" =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] || __po_die "$1: '$2' is no option name; see --help"
    [[ -n "${!2+x}" ]] || __po_die "$1: there is no option --${2//_/-}; see --help"
    if [[ "${!2}" == true || "${!2}" == false ]] && [[ "$3" != true && "$3" != false ]]; then
        __po_die "$1: --${2//_/-} takes true or false, not '$3'"
    fi
    [[ "$2" != cmd || -n "$3" ]] || __po_die "$1: --cmd is empty; is a variable of cmd.sh not set?"
    printf -v "$2" %s "$3"
}

# __po_config FILE: set variables from lines NAME=VALUE; the value may be quoted, # begins a comment.
__po_config() {
    local line number=0
    [[ -f "$1" ]] || __po_die "--config $1: no such file"
    while IFS= read -r line || [[ -n "${line}" ]]; do
        number=$((number + 1))
        [[ "${line}" =~ ^[[:space:]]*(#.*)?$ ]] && continue
        if [[ "${line}" =~ ^[[:space:]]*([A-Za-z_][A-Za-z0-9_]*)=\'([^\']*)\'[[:space:]]*(#.*)?$ ]]; then
            :
        elif [[ "${line}" =~ [\$\`] ]]; then
            __po_die "$1:${number}: variables and commands are not expanded here; write the value itself"
        elif [[ "${line}" =~ ^[[:space:]]*([A-Za-z_][A-Za-z0-9_]*)=\"([^\"]*)\"[[:space:]]*(#.*)?$ ]]; then
            :
        elif [[ "${line}" =~ ^[[:space:]]*([A-Za-z_][A-Za-z0-9_]*)=([^[:space:]\"\'#]*)[[:space:]]*(#.*)?$ ]]; then
            :
        else
            __po_die "$1:${number}: expected NAME=VALUE (quote a value with blanks), got: ${line}"
        fi
        __po_set "$1:${number}" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
    done < "$1"
}

# __po_config_files ARGS...: read the files given by --config, wherever it stands among the options.
__po_config_files() {
    while [[ $# -gt 0 && "$1" == --* ]]; do
        case "$1" in
            --config=*) __po_config "${1#--config=}" ;;
            --config) [[ $# -ge 2 ]] && __po_config "$2" ;;
        esac
        if [[ "$1" == *=* || $# -lt 2 ]]; then shift; else shift 2; fi
    done
}

# __po_looks_like_option WORD: --name of a variable that exists, without a value.
__po_looks_like_option() {
    local name="${1#--}"
    name="${name//-/_}"
    [[ "$1" =~ ^--[A-Za-z_][A-Za-z0-9_-]*$ && -n "${!name+x}" ]]
}

# __po_is_switch ARGS...: the first is --name of a true/false variable, and no value follows it.
__po_is_switch() {
    local name="${1#--}"
    __po_looks_like_option "$1" || return 1
    name="${name//-/_}"
    [[ "${!name}" == true || "${!name}" == false ]] && [[ $# -lt 2 || "$2" == --* ]]
}

__po_config_files "$@"
while [[ $# -gt 0 ]]; do
    case "$1" in
        --help | -h)
            printf '%b\n' "${help_message:-No help for $0.}"
            exit 0
            ;;
        --?*=*)
            __po_name="${1%%=*}"
            __po_name="${__po_name#--}"
            [[ "${__po_name}" == config && -z "${config+x}" ]] || __po_set "$1" "${__po_name//-/_}" "${1#*=}"
            shift
            ;;
        --?*)
            __po_name="${1#--}"
            if __po_is_switch "$@"; then
                __po_set "$1" "${__po_name//-/_}" true
                shift
                continue
            fi
            [[ $# -ge 2 ]] || __po_die "$1 has no value"
            if __po_looks_like_option "$2"; then
                __po_die "$1 has no value: '$2' is an option (if it is meant as the value, write $1=$2)"
            fi
            [[ "${__po_name}" == config && -z "${config+x}" ]] || __po_set "$1" "${__po_name//-/_}" "$2"
            shift 2
            ;;
        *) break ;;
    esac
done
unset -f __po_die __po_set __po_config __po_config_files __po_looks_like_option __po_is_switch
unset -v __po_name
true
