#!/usr/bin/env bash
# Installs the wheel of a directory into an environment of its own and uses it outside the checkout:
# a command, the statistics without TensorFlow, a pipeline with its report.
#
#   scripts/check_distribution.sh [DIRECTORY]        default: dist
set -euo pipefail
dist="$(cd "${1:-dist}" && pwd)"
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
cd "$place"
unset PYTHONPATH

"${PYTHON:-python3}" -m venv bare
export PATH="$place/bare/bin:$PATH"
pip install --quiet "$dist"/phire-*.whl
tar -tf "$dist"/phire-*.tar.gz | grep /CHANGELOG.md
pip check

cat >study.yaml <<'YAML'
stages:
  weather: {command: phire simulate, days: 1, resolution: 32, spin-up: 0}
  results:
    command: phire-eval
    truth: ${weather}
    scale: 4
    candidate: [bicubic=bicubic]
YAML
phire --version
phire run study.yaml --report
phire info study/results
python -c "import phire; assert '$place' in phire.__file__, phire.__file__"
test -s study/results/report.html
test -s study/report.html
