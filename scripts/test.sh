#!/usr/bin/env bash
# Runs the built tests in release mode: debug kernels are too slow to test real things.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# = 0 ] || exec swift test -c release --skip-build "$@"
# What waits for a clock is alone: beside tests that keep every thread busy it would wait for them too.
clocks='TimedVerifierTests|FlakyVerifierTests|ExternalVerifierTests|KilledJudgingTests|SandboxTests'
swift test -c release --skip-build --skip "$clocks"
swift test -c release --skip-build --filter "$clocks"
