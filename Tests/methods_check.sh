#!/usr/bin/env bash
# Shows what docs/acceptance.md says of the ways to learn beside other programs: after `make test` and `bash scripts/peers.sh`,
#     bash Tests/methods_check.sh [FOLDER]
# FOLDER holds the folder data; ../shared where it is left out. Installs lm-evaluation-harness beside the peers. The exit code is 1 if a line fails.
set -uo pipefail
cd "$(dirname "$0")/.."
data=${1:-../shared}/data
autodidact=$PWD/.build/release/autodidact
cache=${AUTODIDACT_CACHE:-$HOME/.cache/autodidact}
peers=$cache/peers
export TRANSFORMERS_VERBOSITY=error HF_HUB_DISABLE_PROGRESS_BARS=1 TQDM_DISABLE=1
if [ ! -e "$peers/harness/done" ]; then
  # Of its own, because it needs other versions of what the peers are measured with. Without it the check computes what the harness documents.
  python3 -m venv "$peers/harness" && "$peers/harness/bin/pip" install --quiet torch==2.15.0 transformers==5.23.0 "lm-eval[hf]==0.4.13" && touch "$peers/harness/done"
fi
harness=$peers/torch
[ -e "$peers/harness/done" ] && harness=$peers/harness
failed=0
echo "Rewards, beside transformers:"
"$peers/torch/bin/python" Tests/reward_check.py "$autodidact" "$data" "$cache/minilm" "$cache/smollm2-135m-float32" || failed=1
echo "Likelihoods of options, beside lm-evaluation-harness:"
"$harness/bin/python" Tests/harness_check.py "$autodidact" "$cache/smollm2-135m-float32" "$data" || failed=1
exit $failed
