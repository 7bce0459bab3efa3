#!/usr/bin/env bash
# Test the oldest versions that pyproject.toml allows, in an environment of their own: ci/floor.sh [FOLDER]
# The light core is tested without ESPnet first, then the ESPnet glue with the oldest ESPnet.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=${1:-.venv-floor}
python=$(command -v python3.10 || command -v python3)
pip() { "${venv}/bin/python" -m pip --disable-pip-version-check install -q "$@"; }
# Lower bounds of a dependency list, as exact versions: floors KEY of [project], or of its optional-dependencies
floors() {
    "${venv}/bin/python" - "$1" << 'EOF'
import re, sys

text = open("pyproject.toml", encoding="utf-8").read()
block = re.search(rf"^{sys.argv[1]} = \[(.*?)^\]", text, re.M | re.S)[1]
found = re.findall(r'"([A-Za-z0-9_.-]+)>=([0-9.]+)', block)
print(*(f"{name}=={version}.*" for name, version in found))
EOF
}

[ -x "${venv}/bin/python" ] || "${python}" -m venv "${venv}"
pip 'setuptools<74' wheel Cython 'pytest>=8' hypothesis
# shellcheck disable=SC2046
pip $(floors dependencies)
# shellcheck disable=SC2046
pip $(floors dependencies) 'transformers==4.46.*'
pip --no-deps --no-build-isolation -e .
export OMP_NUM_THREADS=1
"${venv}/bin/python" -m pytest test/test_public_face.py test/criterions test/ssl/test_batch_exact.py test/softdtw/test_soft_dtw.py
