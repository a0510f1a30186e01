"""Exchanges LoRA adapters with Hugging Face PEFT and compares log-likelihoods.

    python Tests/peft_check.py AUTODIDACT CHECKPOINT

An adapter that PEFT writes (plain, rank-stable, DoRA) is opened by `autodidact score --adapter`; an adapter that `autodidact sft` trains is opened by
PEFT. Total log-likelihoods must agree (float32, 2e-4 relative + 1e-2). Needs torch, transformers and peft; exits 0 with a message when they are not
installed.
"""
import json
import os
import subprocess
import sys
import tempfile

try:
    import torch
    from peft import LoraConfig, PeftModel, PromptTuningConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(0)

executable, checkpoint = sys.argv[1:3]
texts = ["The capital of France is Paris.", "2 + 2 = 4, and 3 + 3 = 6.", "Once upon a time there was a fox who", "def add(a, b):\n    return a + b\n"]
tokenizer = AutoTokenizer.from_pretrained(checkpoint)
folder = tempfile.mkdtemp()
data = os.path.join(folder, "texts.jsonl")
with open(data, "w", encoding="utf-8") as file:
    for text in texts:
        file.write(json.dumps({"text": text}) + "\n")


def ours(*arguments):
    return subprocess.run([executable, *arguments], capture_output=True, text=True, check=True).stdout


def theirs(model):
    totals = []
    for text in texts:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.no_grad():
            # The vectors of a soft prompt come first.
            logits = model(ids).logits[0, -ids.shape[1]:].log_softmax(-1)
        totals.append(logits[:-1].gather(1, ids[0, 1:, None]).sum().item())
    return totals


def compare(name, adapter, model):
    scored = [json.loads(line)["logLikelihood"] for line in ours("score", "--model", checkpoint, "--adapter", adapter, "--input", data, "--json").splitlines()]
    plain = [json.loads(line)["logLikelihood"] for line in ours("score", "--model", checkpoint, "--input", data, "--json").splitlines()]
    expected = theirs(model)
    worst = max(abs(a - b) / (2e-4 * abs(b) + 1e-2) for a, b in zip(scored, expected))
    moved = max(abs(a - b) for a, b in zip(scored, plain))
    print(f"{name}: worst {worst * 100:.1f} % of what is allowed; the adapter moves log-likelihoods by up to {moved:.2f}")
    assert worst <= 1 and moved > 0.05, (scored, expected, plain)


base = lambda: AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
for name, options in [("peft LoRA", {}), ("peft rsLoRA", {"use_rslora": True}), ("peft DoRA", {"use_dora": True}), ("peft all modules", {"target_modules": "all-linear"})]:
    torch.manual_seed(0)
    config = LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "down_proj"], "task_type": "CAUSAL_LM", **options})
    model = get_peft_model(base(), config).eval()
    for key, parameter in model.named_parameters():
        if "lora_B" in key:
            torch.nn.init.normal_(parameter, std=0.02)
        if "lora_magnitude" in key:
            parameter.data *= 1 + 0.05 * torch.randn_like(parameter)
    adapter = os.path.join(folder, name.replace(" ", "-"))
    model.save_pretrained(adapter)
    compare(name, adapter, model)

torch.manual_seed(0)
model = get_peft_model(base(), PromptTuningConfig(num_virtual_tokens=5, task_type="CAUSAL_LM")).eval()
adapter = os.path.join(folder, "prompt")
model.save_pretrained(adapter)
compare("peft soft prompt", adapter, model)

for name, options in [("ours soft prompt", ["--adapter", "soft-prompt"]), ("ours", []), ("ours DoRA", ["--dora"]), ("ours rank-stable on two modules", ["--rslora", "--targets", "q_proj,up_proj"])]:
    adapter = os.path.join(folder, name.replace(" ", "-"))
    ours("sft", "--model", checkpoint, "--objective", "causal", "--input", data, "--rank", "4", "--epochs", "4", "--learning-rate", "0.002", "--batch", "2", "--output", adapter, *options)
    compare(name, adapter, PeftModel.from_pretrained(base(), adapter).eval())
