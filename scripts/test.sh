#!/usr/bin/env bash
# Runs the built tests in release mode: debug kernels are too slow to test real things.
set -euo pipefail
cd "$(dirname "$0")/.."
swift test -c release --skip-build "$@"
