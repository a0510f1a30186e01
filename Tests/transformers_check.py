"""Opens a checkpoint folder with Hugging Face transformers and compares it with ours.

    python Tests/transformers_check.py AUTODIDACT CHECKPOINT [TEXTS.jsonl]

Token ids on up to 50 texts must be equal, and so must total log-likelihoods (float32, 2e-4 relative + 1e-2), greedy continuations, and on two
of the texts all logits and all gradients (`autodidact conform`, whose limits are those of the golden models). Needs torch and
transformers; exits 0 with a message when they are not installed.
"""
import json
import os
import subprocess
import sys
import tempfile

try:
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(0)

executable, checkpoint = sys.argv[1:3]
if len(sys.argv) > 3:
    texts = [json.loads(line)["text"] for line in open(sys.argv[3], encoding="utf-8")]
else:
    texts = [f"Input:\n{a % 10} {a % 7} + {b % 10} {b % 9}\nTarget:\n" for a, b in zip(range(50), range(7, 57))]
texts = [text for text in texts if text.strip()][:50]

tokenizer = AutoTokenizer.from_pretrained(checkpoint)
model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()


def ours(arguments):
    result = subprocess.run([executable, *arguments], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in result.stdout.splitlines()]


with tempfile.NamedTemporaryFile("w", suffix=".jsonl", delete=False) as file:
    for text in texts:
        file.write(json.dumps({"text": text}) + "\n")
scores = ours(["score", "--model", checkpoint, "--input", file.name, "--json"])

worst, failures = 0.0, 0
for text, score in zip(texts, scores):
    ids = tokenizer(text, return_tensors="pt").input_ids
    if ids.shape[1] != score["tokens"]:
        failures += 1
        print(f"DIFFERENT IDS: {ids.shape[1]} tokens there, {score['tokens']} here: {text!r}")
        continue
    with torch.no_grad():
        laws = torch.log_softmax(model(ids).logits[0].double(), -1)
    total = laws[:-1].gather(1, ids[0, 1:, None]).sum().item()
    difference = abs(total - score["logLikelihood"])
    worst = max(worst, difference)
    if difference > 2e-4 * abs(total) + 1e-2:
        failures += 1
        print(f"DIFFERENT LOG-LIKELIHOOD: {total} there, {score['logLikelihood']} here: {text!r}")

for text in texts[:5]:
    ids = tokenizer(text, return_tensors="pt").input_ids
    mine = ours(["generate", "--model", checkpoint, "--prompt", text, "--max-tokens", "16", "--json"])[0]["tokens"]
    with torch.no_grad():
        theirs = model.generate(ids, max_new_tokens=16, do_sample=False, eos_token_id=model.generation_config.eos_token_id)[0, ids.shape[1] :].tolist()
    if mine != theirs[: len(mine)]:
        failures += 1
        print(f"DIFFERENT CONTINUATION: {theirs} there, {mine} here: {text!r}")

# A reference folder like those of the golden models: the checkpoint, and what transformers computes with it.
rows = [tokenizer(text).input_ids[:32] for text in texts[:2]]
width = max(map(len, rows))
ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
labels = ids.masked_fill(mask == 0, -100)
# In double precision: the rounding of two float32 computations together would be no measure of ours.
model.double()
output = model(input_ids=ids, attention_mask=mask, labels=labels)
output.loss.backward()
reference = {"input_ids": ids, "attention_mask": mask, "labels": labels, "logits": output.logits.detach(), "loss": output.loss.detach().reshape(1)}
reference |= {f"grad.{name}": parameter.grad for name, parameter in model.named_parameters()}
with tempfile.TemporaryDirectory() as folder:
    for name in ("config.json", "model.safetensors"):
        os.symlink(os.path.abspath(f"{checkpoint}/{name}"), f"{folder}/{name}")
    save_file({name: (tensor.float() if tensor.is_floating_point() else tensor).contiguous() for name, tensor in reference.items()}, f"{folder}/io.safetensors")
    conformed = subprocess.run([executable, "conform", folder], capture_output=True, text=True)
    print(conformed.stdout.strip().replace(folder, checkpoint))
    if conformed.returncode != 0:
        failures += 1
        print(f"DIFFERENT LOGITS OR GRADIENTS: {conformed.stderr.strip()}")

print(f"{len(texts)} texts, worst difference of a log-likelihood {worst:.2e}, {failures} failures")
sys.exit(1 if failures else 0)
