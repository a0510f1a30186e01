"""Long learning runs of the embedded default: three seeds, and the controls that must not learn.

    python3 Tests/learning_check.py AUTODIDACT [FOLDER]

Each cell is one run; a finished one is not run again and an interrupted one goes on. Results are written to
Benchmarks/results/addition.json with command and commit. Exits 1 when a claim does not hold.
"""
import json
import math
import os
import sqlite3
import subprocess
import sys
import time

executable = os.path.abspath(sys.argv[1])
folder = sys.argv[2] if len(sys.argv) > 2 else "runs/learning-check"
os.makedirs(folder, exist_ok=True)
commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()

cells = [(f"seed-{seed}", ["--seed", str(seed)]) for seed in range(3)] + [
    ("accept-all", ["--seed", "0", "--verifier", "accept-all"]),
    ("shuffled-answers", ["--seed", "0", "--shuffle-answers"]),
    ("no-rationalisation", ["--seed", "0", "--no-rationalisation"]),
]


def finished(run):
    if not os.path.exists(f"{run}/result.json"):
        return None
    return json.load(open(f"{run}/result.json"))


def measure(name, options):
    run = f"{folder}/{name}"
    result = finished(run)
    if result:
        return result
    command = ["learn", "--resume", run] if os.path.exists(f"{run}/recipe.yaml") else ["learn", "--output", run, *options]
    began = time.time()
    done = subprocess.run([executable, *command], capture_output=True, text=True)
    seconds = time.time() - began
    if done.returncode != 0:
        sys.exit(f"{name}: {done.stderr}")
    database = sqlite3.connect(f"file:{run}/run.sqlite?mode=ro", uri=True)
    rows = database.execute("select iteration, name, category, value, count from metrics where phase = 'test' and name in ('accuracy', 'macroAccuracy')").fetchall()
    accuracy = {}
    for iteration, kind, category, value, count in rows:
        accuracy.setdefault(str(iteration), {})["macro" if kind == "macroAccuracy" else category or "all"] = [value, count]
    result = {
        "cell": name, "command": "autodidact " + " ".join(["learn", *options]), "commit": commit, "processors": os.cpu_count(),
        "seconds": round(seconds, 1), "accuracy": accuracy,
    }
    json.dump(result, open(f"{run}/result.json", "w"), indent=1)
    return result


results, failures = [], []
for name, options in cells:
    result = measure(name, options)
    results.append(result)
    first, last = result["accuracy"]["0"], result["accuracy"][str(max(map(int, result["accuracy"])))]
    longest = max(key for key in first if key.isdigit())
    print(f"{name:20} longest {first[longest][0]:6.1%} -> {last[longest][0]:6.1%}   mean {first['macro'][0]:6.1%} -> {last['macro'][0]:6.1%}   {result['seconds']:.0f} s", flush=True)
    if name.startswith("seed"):
        if not (first[longest][0] < 0.10 and last[longest][0] >= 0.75 and last["macro"][0] >= 0.92):
            failures.append(f"{name}: the longest length must rise from below 10 % to 75 %, the mean to 92 %")
        if result["seconds"] > 300:
            failures.append(f"{name}: took {result['seconds']} s, more than five minutes")
    elif name != "no-rationalisation":
        # Overall accuracy over all problems: a control may not gain more than two standard errors.
        (p, n), (q, m) = first["all"], last["all"]
        error = math.sqrt(p * (1 - p) / n + q * (1 - q) / m)
        if q - p > 2 * error:
            failures.append(f"{name}: a control gained {q - p:.3f}, more than two standard errors ({2 * error:.3f})")
json.dump(results, open("Benchmarks/results/addition.json", "w"), indent=1)
for failure in failures:
    print("FAILED", failure)
sys.exit(1 if failures else 0)
