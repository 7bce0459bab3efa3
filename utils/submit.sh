# shellcheck shell=bash
# submit LAUNCHER [JOB=1:N] LOG COMMAND...: run a command by a launcher and its options, like "slurm.pl --mem 2G";
# each word arrives as it is, whatever characters a path in it has. To be sourced.

# A launcher gives words without blanks to bash unquoted, so that \| works, and quotes those with blanks.
literal() {
    local word
    for word in "$@"; do
        [[ ${word} =~ ^[-A-Za-z0-9_@%+=:,./]+$ || ${word} =~ [[:space:]] ]] || word=${word@Q}
        printf '%s\n' "${word}"
    done
}

submit() {
    local launcher=$1 range=() log words
    shift
    [[ $1 != JOB=* ]] || { range=("$1"); shift; }
    log=$1; shift
    mapfile -t words < <(literal "$@")
    ${launcher} "${range[@]}" "${log}" "${words[@]}"
}
