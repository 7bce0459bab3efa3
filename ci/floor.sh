#!/usr/bin/env bash
# Test the oldest versions that pyproject.toml allows, in an environment of their own: ci/floor.sh [FOLDER]
# First the core, without ESPnet; then the glue, with the oldest ESPnet.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=${1:-.venv-floor}
# pyenv's python3.10 may be a script that only says which versions have one.
for python in python3.10 "${PYENV_ROOT:-${HOME}/.pyenv}"/versions/3.10.*/bin/python3.10 python3; do
    ! "${python}" -c '' 2> /dev/null || break
done
pip() { "${venv}/bin/python" -m pip --disable-pip-version-check install -q "$@"; }
# The lower bounds of a list in pyproject.toml, as exact versions.
floors() {
    "${venv}/bin/python" - "$1" << 'EOF'
import re
import sys

text = open("pyproject.toml", encoding="utf-8").read()
listed = re.search(rf"^{sys.argv[1]} = \[(.*?)^\]", text, re.M | re.S)[1]
print(*(f"{name}=={version}.*" for name, version in re.findall(r'"([\w.-]+)>=([0-9.]+)"', listed) if name != "espnet"))
EOF
}
export OMP_NUM_THREADS=1

[ -x "${venv}/bin/python" ] || "${python}" -m venv "${venv}"
pip 'setuptools<74' wheel Cython 'pytest>=8' hypothesis
# shellcheck disable=SC2046 # words
pip $(floors dependencies)
pip --no-deps --no-build-isolation -e .
"${venv}/bin/python" -m pytest test/softdtw/test_soft_dtw.py test/perturb/test_padding.py test/perturb/test_noise.py

# ESPnet 202412 without the exact versions that it asks for: some have no wheels for newer Pythons.
# shellcheck disable=SC2046
pip --no-build-isolation $(floors dependencies) $(floors espnet) 'torchaudio==2.4.*' packaging configargparse typeguard \
    humanfriendly filelock 'librosa==0.9.*' jamo h5py torch_complex nltk protobuf hydra-core opt-einsum sentencepiece \
    'pypinyin<=0.44.0' ci-sdr 'fast-bss-eval==0.1.3' 'asteroid-filterbanks==0.4.0' editdistance ctc-segmentation espnet-tts-frontend \
    'importlib-metadata<5' pystoi 'mir_eval<0.9' pyworld
pip --no-deps espnet==202412
"${venv}/bin/python" -m pytest test/test_public_face.py test/criterions test/ssl/test_batch_exact.py \
    test/enh/test_espnet_compat.py test/enh/test_tasks.py test/enh/test_rates.py test/enh/test_model_folder.py
