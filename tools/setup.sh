#!/usr/bin/env bash
# Make the environment: Debian packages where needed, then a virtual environment in <repo>/.venv.
# Safe to run again at any time; returns at once when nothing changed.
set -euo pipefail

help_message="Usage: tools/setup.sh [--python python3.12] [--venv DIR] [--extras all] [--force]
  --python   interpreter of a new environment (default: python3; 3.10 or newer)
  --venv     where the environment goes (default: .venv in the repository)
  --extras   comma-separated extras of pyproject.toml (default: all)
  --force    install again even if nothing changed"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python='' venv=$root/.venv extras=all force=false
while [ $# -gt 0 ]; do
    case "$1" in
        --python | --venv | --extras)
            [ $# -ge 2 ] || { echo "tools/setup.sh: $1 needs a value" >&2; exit 2; }
            printf -v "${1#--}" '%s' "$2"; shift 2 ;;
        --force) force=true; shift ;;
        -h | --help) echo "$help_message"; exit 0 ;;
        *) echo "tools/setup.sh: unknown option '$1'"$'\n'"$help_message" >&2; exit 2 ;;
    esac
done

# Recipes call this without options: an environment that is there keeps its interpreter.
[ -n "$python" ] || { python=python3; [ ! -x "$venv/bin/python" ] || python=$venv/bin/python; }
command -v "$python" > /dev/null || { echo "tools/setup.sh: no '$python' here; name one with --python" >&2; exit 1; }
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }
version=$(version_of "$python")
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    { echo "tools/setup.sh: $python is Python $version; 3.10 or newer is needed (--python python3.11)" >&2; exit 1; }
if [ -x "$venv/bin/python" ] && [ "$(version_of "$venv/bin/python")" != "$version" ]; then
    echo "tools/setup.sh: $venv has another Python than $python ($version); delete it or name another with --venv" >&2
    exit 1
fi

# One stamp for all that decides what gets installed: unchanged stamp, nothing to do.
constraints=$root/tools/constraints/python$version.txt
stamp=$({ cat "$root/pyproject.toml" "$root/tools/setup.sh" "$constraints" 2> /dev/null || true; } | sha256sum | cut -c1-16)-$version-$extras
done_before() { ! $force && [ -x "$venv/bin/python" ] && [ "$(cat "$venv/.stamp" 2> /dev/null)" = "$stamp" ]; }
if done_before; then exit 0; fi
# Two recipes that are started together need the same environment: one makes it, the other waits.
exec 9< "$root/tools/setup.sh"
flock -n 9 || { echo "tools/setup.sh: already being set up; waiting"; flock 9; }
if done_before; then exit 0; fi

# Debian packages: a compiler and Python's headers (pesq and others are built), and venv's pip.
missing=()
command -v gcc > /dev/null || missing+=(gcc g++)
command -v sox > /dev/null || missing+=(sox)
command -v shellcheck > /dev/null || missing+=(shellcheck)
command -v git > /dev/null || missing+=(git)
"$python" -c 'import venv, ensurepip' 2> /dev/null || missing+=("python$version-venv")
"$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
    missing+=("python$version-dev")
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
        echo "tools/setup.sh: installing Debian packages: ${missing[*]}"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
    else
        echo "tools/setup.sh: these Debian packages are missing and need root:" >&2
        echo "    sudo apt-get install ${missing[*]}" >&2
        exit 1
    fi
fi

echo "tools/setup.sh: Python $version environment in $venv (about 6 GB, some minutes the first time)"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip=("$venv/bin/python" -m pip --disable-pip-version-check)
options=()
if [ -f "$constraints" ]; then
    options=(-c "$constraints")
else
    echo "tools/setup.sh: no tested version list for Python $version; taking the newest that fit" >&2
fi
# uv is several times faster than pip, but does not read pip's settings; where it fails, pip does the work.
"${pip[@]}" install -q "${options[@]}" uv || true
settings=$("${pip[@]}" config list || true)
for pair in index-url=UV_DEFAULT_INDEX extra-index-url=UV_EXTRA_INDEX_URL find-links=UV_FIND_LINKS constraint=UV_CONSTRAINT \
    cert=SSL_CERT_FILE; do
    value=$(sed -n "s/^[^=]*[.]${pair%=*}='\(.*\)'$/\1/p" <<< "$settings" | head -1)
    [ -z "$value" ] || export "${pair#*=}=${value//\\n/ }"
done
export UV_INDEX_STRATEGY=unsafe-best-match  # all indexes are equal, as for pip
get() {
    "$venv/bin/uv" pip install -q --compile-bytecode --python "$venv" "${options[@]}" "$@" ||
        "${pip[@]}" install -q "${options[@]}" "$@"
}
{
    get 'setuptools<82' wheel numpy Cython  # what source packages are built with
    get --no-build-isolation -e "${root}[${extras}]"
} &
install=$!
trap 'pkill -P $install || true; kill $install 2> /dev/null || true' INT TERM
start=$SECONDS
while sleep 1; kill -0 $install 2> /dev/null; do
    if [ $(((SECONDS - start) % 20)) = 0 ]; then
        echo "tools/setup.sh: fetching and installing, $((SECONDS - start)) s"
    fi
done
wait $install || { echo "tools/setup.sh: the packages could not be installed (see above; is the package index reachable?)" >&2; exit 1; }
(cd "$root" && "$venv/bin/python" -m espnet_posinv env --required-only)
echo "$stamp" > "$venv/.stamp"
