"""Opens a GGUF file that `autodidact convert` wrote with llama.cpp and compares.

    python Tests/llama_cpp_check.py AUTODIDACT FILE.gguf [REFERENCE]
    python Tests/llama_cpp_check.py FOLDER

Token ids and greedy answers on 20 prompts, beside those of `autodidact generate` on REFERENCE (the same file when left out). Equality is expected
for f32 and f16; for other types the number of equal answers is what is reported. Needs llama-cpp-python; exits 0 with a message when it is not
installed. With a folder alone, the logits of the golden models that the conversion tests wrote there (AUTODIDACT_GGUF_OUT=FOLDER) are compared
with ours: differences of 1e-3 come from llama.cpp's gelu and key/value cache in 16 bits.
"""
import json
import pathlib
import subprocess
import sys

try:
    from llama_cpp import Llama
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(0)

if len(sys.argv) == 2:
    files = sorted(pathlib.Path(sys.argv[1]).glob("*.gguf"))
    worst = {}
    for file in files:
        golden = json.loads(file.with_suffix(".json").read_text())
        # Context and batch as small as the text: llama.cpp chooses stretched rotary tables by the size of the context.
        model = Llama(str(file), n_ctx=len(golden["ids"]), verbose=False, logits_all=True, type_k=0, type_v=0)
        model.eval(golden["ids"])
        theirs, ours = model.scores[: len(golden["ids"])].flatten(), golden["logits"]
        worst[file.stem] = max(abs(a - b) for a, b in zip(theirs, ours))
        print(f"{file.stem}: {worst[file.stem]:.2e} of {max(map(abs, ours)):.2f}")
    sys.exit(0 if files and all(value < 1e-2 for value in worst.values()) else f"{len(files)} files; too far off: {[name for name, value in worst.items() if value >= 1e-2]}")
executable, path = sys.argv[1:3]
reference = sys.argv[3] if len(sys.argv) > 3 else path
prompts = [
    "The capital of France is", "1 + 1 =", "Once upon a time", "def main():", "In 1969", "Water boils at", "The largest planet is", "Dear Sir or Madam,", "Roses are red",
    "To be or not to be", "import numpy as np", "The quick brown fox", "My favourite food is", "She opened the door and", "A recipe for bread:", "The meaning of life is",
    "Yesterday it rained, so", "Paris, London and", "x = [1, 2, 3]", "The president of the United States",
]
# Keys and values in float32, as here.
model = Llama(path, n_ctx=256, verbose=False, logits_all=False, type_k=0, type_v=0)
same_tokens = same_answers = 0
for prompt in prompts:
    report = json.loads(subprocess.run(
        [executable, "generate", "--model", reference, "--prompt", prompt, "--max-tokens", "16", "--json"], capture_output=True, text=True, check=True).stdout)
    tokens = model.tokenize(prompt.encode(), add_bos=True, special=True)
    model.reset()
    answer = []
    for token in model.generate(tokens, temp=0.0, top_k=1, repeat_penalty=1.0):
        answer.append(token)
        if len(answer) == 16 or token in (model.token_eos(), 2, 0):
            break
    ours = report["tokens"][:16]
    same_tokens += len(tokens) == report.get("promptTokens", len(tokens))
    same_answers += ours == answer[: len(ours)] if ours != answer else 1
    if ours != answer:
        print(f"{prompt!r}: {ours} here, {answer} there")
print(f"{same_answers} of {len(prompts)} greedy answers are the same; {same_tokens} prompts have as many tokens")
