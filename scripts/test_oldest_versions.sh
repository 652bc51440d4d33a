#!/usr/bin/env bash
# Runs the tests marked `versions` with the oldest versions of the dependencies that setup.py allows.
# usage: scripts/test_oldest_versions.sh FOLDER   (of the environment to make)
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1
python=${PYTHON:-python3}

if [ ! -e "$folder/.installed" ]; then
    "$python" -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet "uv>=0.5"
    # uv, because pip has no way to prefer the lowest versions.
    "$folder/bin/uv" pip install --quiet --python "$folder/bin/python" \
        --resolution lowest-direct -r setup.py --extra versions
    touch "$folder/.installed"
fi
mapfile -t files < <(grep -rl "mark\.versions" tests --include="*.py")
PYTHONPATH=python "$folder/bin/python" -m pytest -q -m versions "${files[@]}"
