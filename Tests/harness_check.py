"""Compares `autodidact eval --method likelihood` with EleutherAI's lm-evaluation-harness.

    python Tests/harness_check.py AUTODIDACT CHECKPOINT DATA

50 problems each of csqa (options by their words), sst2 and sst2 as a conversation are scored by `autodidact eval --record`. The log-likelihood of every option
after its recorded prompt must be what the harness's own `loglikelihood` says, within 1e-4; where lm_eval is not installed, its documented procedure stands in:
white space at the context's end goes to the option, both are cut into tokens as one text, and what the context has alone is its own. How far both are from
double precision is printed for the first 20 options. Needs torch and transformers; exits 0 with a message when they are not installed.
"""
import json
import os
import sqlite3
import subprocess
import sys
import tempfile

try:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(0)
try:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM
except ImportError:
    HFLM = None

executable, checkpoint, data = sys.argv[1:4]
tokenizer = AutoTokenizer.from_pretrained(checkpoint)
single = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
double = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float64).eval()


def procedure(model, context, option):
    spaces = len(context) - len(context.rstrip())
    if spaces > 0:
        context, option = context[:-spaces], context[-spaces:] + option
    whole, own = tokenizer(context + option)["input_ids"], tokenizer(context)["input_ids"]
    with torch.no_grad():
        laws = model(torch.tensor([whole])).logits[0].log_softmax(-1)
    return sum(laws[place - 1, whole[place]].item() for place in range(len(own), len(whole)))


def harness(requests):
    if HFLM is None:
        return [procedure(single, *request) for request in requests]
    model = HFLM(pretrained=single, tokenizer=tokenizer, batch_size=8, device="cpu")
    instances = [Instance(request_type="loglikelihood", doc={}, arguments=request, idx=0) for request in requests]
    return [likelihood for likelihood, _ in model.loglikelihood(instances, disable_tqdm=True)]


name = "lm-evaluation-harness" if HFLM else "the harness's procedure"
failed = False
for task, options in [("csqa", ["--options", "text", "--task-option", "few-shot=0"]), ("sst2", []), ("sst2", ["--task-option", "form=chat"])]:
    place = tempfile.TemporaryDirectory()
    record = os.path.join(place.name, "record.sqlite")
    command = [executable, "eval", "--model", checkpoint, "--task", task, "--method", "likelihood", "--limit", "50", "--record", record, *options]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "AUTODIDACT_DATA": data})
    rows = [(prompt, json.loads(choices)) for prompt, choices in sqlite3.connect(record).execute("SELECT prompt, choices FROM samples")]
    # One space between, but for prompts that end in white space of their own.
    requests = [(prompt, ("" if prompt[-1].isspace() else " ") + choice["text"]) for prompt, choices in rows for choice in choices]
    ours = [choice["logLikelihood"] for _, choices in rows for choice in choices]
    theirs = harness(requests)
    assert len(rows) == 50 and len(ours) == len(theirs) == len(requests)
    exact = [procedure(double, *request) for request in requests[:20]]

    def worst(a, b):
        return max(abs(x - y) for x, y in zip(a, b))

    print(
        f"{' '.join([task, *options])}: {len(rows)} problems, {len(ours)} options: at most {worst(ours, theirs):.1e} from {name}; "
        f"from double precision ours at most {worst(ours, exact):.1e}, theirs {worst(theirs, exact):.1e}"
    )
    failed = failed or worst(ours, theirs) > 1e-4
sys.exit(1 if failed else 0)
