#!/usr/bin/env bash
# The whole pipeline on simulated data, fields to report: pipelines/demo.yaml. Stages that are done are
# skipped and an interrupted one goes on, so that the script can be started again at any time.
#
#   scripts/demo.sh [DIRECTORY]        default: demo
set -euo pipefail
demo="${1:-demo}"

phire run "$(dirname "$0")/../pipelines/demo.yaml" --set "directory=$demo"

printf '\nThe report: %s\n' "$(cd "$demo" && pwd)/results/report.html"
