#!/usr/bin/env bash
# Build the documentation into build/docs; a warning is an error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup.sh
.venv/bin/python -m sphinx -W --keep-going -q -b html doc build/docs
echo "docs: build/docs/index.html"
