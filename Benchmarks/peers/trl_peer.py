"""TRL: supervised fine-tuning on completions, and steps of GRPO. usage: trl_peer.py FOLDER [THREADS]

A trainer lives for as many steps as are asked for; between two of them it waits for the next request.
"""
import json
import re
import sys
import tempfile
import time

import serving
import torch
import transformers
import trl
from datasets import Dataset

threads = int(sys.argv[2]) if len(sys.argv) > 2 else torch.get_num_threads()
torch.set_num_threads(threads)
tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
if tokenizer.pad_token is None:
    tokenizer.pad_token = tokenizer.eos_token
sys.stdout = sys.stderr
requests = serving.requests()
common = dict(use_cpu=True, bf16=False, fp16=False, report_to=[], save_strategy="no", gradient_checkpointing=False, disable_tqdm=True, logging_steps=1)


class Turns(transformers.TrainerCallback):
    """Waits before, and answers after, every `steps` steps; the last answer's figures come with the next log."""

    def __init__(self, first, steps, figures):
        self.request, self.steps, self.figures, self.done = first, steps, figures, 0

    def on_step_begin(self, args, state, control, **_):
        if self.done % self.steps == 0:
            if self.request is None:
                self.request = next(requests, None)
                if self.request is None:
                    sys.exit(0)
            self.began = time.perf_counter()

    def on_log(self, args, state, control, logs=None, **_):
        if logs and "loss" in logs and state.global_step > self.done:
            self.done = state.global_step
            if self.done % self.steps == 0:
                serving.respond(self.figures(time.perf_counter() - self.began, logs))
                self.request = None


def sft(request):
    count, batch = request["size"]
    rows = [
        {"prompt": [{"role": "user", "content": prompt}], "completion": [{"role": "assistant", "content": f"The answer is {answer}."}]}
        for prompt, answer in list(serving.questions(request["path"]))[:count]
    ]
    options = trl.SFTConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=batch, max_steps=1000, learning_rate=1e-5, completion_only_loss=True, shuffle_dataset=False,
        train_sampling_strategy="sequential", **common)
    steps = count // batch
    turns = Turns(request, steps, lambda time, logs: {"examples_s": count / time, "seconds": time})
    trl.SFTTrainer(model=sys.argv[1], args=options, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, callbacks=[turns]).train()


def policy(request):
    prompts, samples, length = request["size"]
    forced = request["kind"] == "forced"
    rows = [{"prompt": [{"role": "user", "content": prompt}], "answer": answer} for prompt, answer in serving.questions(request["path"])]

    def reward(prompts, completions, completion_ids, answer, **_):
        if forced or "record" in request:
            rewards = [float(index % samples % 4 == 0) for index in range(len(completions))]
        else:
            found = [re.findall(r"-?\d+", completion[0]["content"]) for completion in completions]
            rewards = [float(bool(numbers) and int(numbers[-1]) == int(right)) for numbers, right in zip(found, answer)]
        if "record" in request:
            rows = zip(prompts, completion_ids, rewards)
            json.dump([{"prompt": prompt[-1]["content"], "completion": list(ids), "reward": value} for prompt, ids, value in rows], open(request["record"], "w"))
        return rewards

    options = trl.GRPOConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=prompts * samples, num_generations=samples, max_completion_length=length, max_steps=1000,
        temperature=1.0, learning_rate=1e-6, generation_kwargs=dict(min_new_tokens=length) if forced else {}, **common)
    turns = Turns(request, 1, lambda time, logs: {
        "seconds": time, "mean_length": logs["completions/mean_length"], "groups_without_signal": logs["frac_reward_zero_std"],
        "tokens_s": logs["completions/mean_length"] * prompts * samples / time, "loss": logs["loss"],
        "gradient_norm": logs["grad_norm"]})
    trl.GRPOTrainer(model=sys.argv[1], reward_funcs=reward, args=options, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, callbacks=[turns]).train()


for request in requests:
    match request["work"]:
        case "versions":
            serving.respond({"trl": trl.__version__, "transformers": transformers.__version__, "torch": torch.__version__, "threads": threads})
        case "sft":
            sft(request)
        case "policy":
            policy(request)
        case _:
            serving.unknown(request)
