"""Opens reward models that `autodidact reward` has trained with Hugging Face transformers, and compares rewards.

    python Tests/reward_check.py AUTODIDACT DATA MODEL...

Each model is trained on 40 comparisons of DATA/pref_polite.jsonl; generative ones with a chat template also with it. The folder must open as
AutoModelForSequenceClassification with one label and every weight in its place, and what it says of the answers of 20 other comparisons, alone and in
batches that are padded, must be what `autodidact score` says, within 1e-4. Needs torch and transformers; exits 0 with a message when they are not installed.
"""
import itertools
import json
import os
import subprocess
import sys
import tempfile

try:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(0)

executable, data = sys.argv[1:3]
lines = list(itertools.islice(open(os.path.join(data, "pref_polite.jsonl"), encoding="utf-8"), 60))
pairs = [json.loads(line) for line in lines[40:]]
answers = [(pair["prompt"], pair[name]) for pair in pairs for name in ("chosen", "rejected")]
place = tempfile.TemporaryDirectory()
folder = place.name
with open(f"{folder}/train.jsonl", "w", encoding="utf-8") as file:
    file.writelines(lines[:40])
with open(f"{folder}/answers.jsonl", "w", encoding="utf-8") as file:
    file.writelines(json.dumps({"prompt": prompt, "answer": answer}) + "\n" for prompt, answer in answers)


def ours(*arguments):
    return subprocess.run([executable, *arguments], capture_output=True, text=True, check=True).stdout


def ids(tokenizer, form, prompt, answer):
    """As the reward model reads them: two texts, or one text with the token that ends it."""
    if form.get("endToken") is None:
        return tokenizer(prompt, answer)
    if form["isChat"]:
        asked = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False)
        whole = tokenizer(asked, add_special_tokens=False)["input_ids"] + tokenizer(answer, add_special_tokens=False)["input_ids"]
    else:
        whole = tokenizer(f"{prompt} {answer.lstrip()}")["input_ids"]
    return {"input_ids": whole + [form["endToken"]], "attention_mask": [1] * (len(whole) + 1)}


failed = False
for number, model in enumerate(sys.argv[3:]):
    for chat in (False, True):
        output = f"{folder}/{number}{'-chat' if chat else ''}"
        if chat and not AutoTokenizer.from_pretrained(model).chat_template:
            continue
        options = ["--epochs", "1", "--batch", "8", "--max-tokens", "256", *(["--chat"] if chat else [])]
        ours("reward", "--model", model, "--input", f"{folder}/train.jsonl", "--output", output, *options)
        rewards = [json.loads(line)["reward"] for line in ours("score", "--model", output, "--input", f"{folder}/answers.jsonl", "--json").splitlines()]
        tokenizer, form = AutoTokenizer.from_pretrained(output), json.load(open(f"{output}/reward.json"))
        opened, report = AutoModelForSequenceClassification.from_pretrained(output, num_labels=1, dtype=torch.float32, output_loading_info=True)
        opened.eval()
        assert not any(report.values()), report
        rows = [ids(tokenizer, form, *answer) for answer in answers]
        assert max(len(row["input_ids"]) for row in rows) <= form["maxTokens"]
        tokenizer.padding_side = "right"
        worst = []
        for batch in (1, 8):
            theirs = []
            for start in range(0, len(rows), batch):
                with torch.no_grad():
                    logits = opened(**tokenizer.pad(rows[start : start + batch], return_tensors="pt")).logits
                assert logits.shape[1] == 1
                theirs += [logit - form["mean"] for logit in logits[:, 0].tolist()]
            assert len(theirs) == len(rewards) == 40
            worst.append(max(abs(a - b) for a, b in zip(theirs, rewards)))
        spread = max(rewards) - min(rewards)
        print(f"{type(opened).__name__}{' with its chat template' if chat else ''}: 40 answers, rewards over {spread:.2f}, at most {worst[0]:.1e} from transformers alone, {worst[1]:.1e} in padded batches")
        failed = failed or max(worst) > 1e-4 or spread < 1e-3
sys.exit(1 if failed else 0)
