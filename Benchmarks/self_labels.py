"""SST-2 from 64 labelled sentences, with and without labels that MiniLM picks itself.

    python3 Benchmarks/self_labels.py DATA [--seeds N] [--again] [--table]

DATA holds sst2_train.jsonl and sst2_dev.jsonl. Of the training sentences of five words or more a seed draws 64 with their labels and 4,000 without; round 0 of
`autodidact self-label` is the model that the 64 alone give. A seed that stands in Benchmarks/results/self-labels.json is not run again without --again.
"""
import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--again", action="store_true")
parser.add_argument("--table", action="store_true")
arguments = parser.parse_args()
cache = os.environ.get("AUTODIDACT_CACHE", os.path.expanduser("~/.cache/autodidact"))
model, executable, path = f"{cache}/minilm", ".build/release/autodidact", "Benchmarks/results/self-labels.json"
results = json.load(open(path)) if os.path.exists(path) else {}


def run(seed):
    sentences = [row for row in map(json.loads, open(f"{arguments.data}/sst2_train.jsonl")) if len(row["sentence"].split()) >= 5]
    random.Random(seed).shuffle(sentences)
    work = tempfile.mkdtemp()
    for name, rows in [("known", sentences[:64]), ("rest", [{"sentence": row["sentence"]} for row in sentences[64:4064]])]:
        with open(f"{work}/{name}.jsonl", "w") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    command = [executable, "self-label", "--model", model, "--input", f"{work}/known.jsonl", "--unlabelled", f"{work}/rest.jsonl", "--eval", f"{arguments.data}/sst2_dev.jsonl",
               "--text-field", "sentence", "--rounds", "3", "--seed", str(seed), "--output", f"{work}/out"]
    start = time.time()
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rounds = [int(right) / int(of) for right, of in re.findall(r"(\d+) of (\d+) labels met", output)]
    shutil.rmtree(work)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    shown = " ".join(command).replace(work, "WORK").replace(model, "MINILM").replace(arguments.data, "DATA").replace(executable, "autodidact")
    return {"command": shown, "commit": commit, "rounds": rounds, "seconds": time.time() - start}


for seed in [] if arguments.table else range(arguments.seeds):
    if str(seed) in results and not arguments.again:
        continue
    results[str(seed)] = run(seed)
    with open(path, "w") as file:
        json.dump(results, file, indent=1)
print("| seed | 64 labels alone | with picked ones, round by round | seconds |\n| --- | --- | --- | --- |")
for seed, cell in sorted(results.items()):
    print(f"| {seed} | {100 * cell['rounds'][0]:.1f} % | {', '.join(f'{100 * accuracy:.1f}' for accuracy in cell['rounds'][1:])} % | {cell['seconds']:.0f} |")
if results:
    gains = [cell["rounds"][-1] - cell["rounds"][0] for cell in results.values()]
    print(f"\nmean gain {100 * statistics.mean(gains):+.1f} points, from {100 * min(gains):+.1f} to {100 * max(gains):+.1f}")
