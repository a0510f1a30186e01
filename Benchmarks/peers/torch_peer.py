"""PyTorch and transformers. usage: torch_peer.py FOLDER [THREADS], where FOLDER holds a Hugging Face model in float32."""
import sys
import time

import serving
import torch
import transformers

threads = int(sys.argv[2]) if len(sys.argv) > 2 else torch.get_num_threads()
torch.set_num_threads(threads)
torch.manual_seed(0)
model = optimizer = None


def seconds(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def matmul(kind, size):
    """Into memory that is there, as ours: the best within a fifth of a second, and of three at least, after one unmeasured."""
    m, n, k = size
    x, w, y = torch.randn(m, k), torch.randn(n, k), torch.randn(m, n)
    dx, dw = torch.zeros(m, k), torch.zeros(n, k)
    work = {
        "forward": lambda: torch.mm(x, w.t(), out=y),
        "input-gradient": lambda: torch.mm(y, w, out=dx),
        "weight-gradient": lambda: dw.addmm_(y.t(), x),
    }[kind]
    work()
    times = []
    while len(times) < 3 or sum(times) < 0.2:
        times.append(seconds(work))
    return {"gflops": 2 * m * n * k / min(times) / 1e9}


def tokens(*shape):
    return torch.randint(10, 40000, shape)


def generate(ids, new, **options):
    with torch.no_grad():
        return model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, min_new_tokens=new, do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
            pad_token_id=2, **options)


def decode(sequences, prompt, new):
    ids = tokens(sequences, prompt)
    time = seconds(lambda: generate(ids, new))
    return {"with_prefill_tokens_s": sequences * new / time, "seconds": time}


def shared_prefix(prompts, samples, prefix, own, new, kind):
    """kind: sequences that decode together, and 'cached' where the prefix is computed once for all."""
    together, cached = int(kind.split()[0]), "cached" in kind
    common = tokens(1, prefix)
    ids = torch.cat([common.expand(prompts, -1), tokens(prompts, own)], 1)
    at_once = max(1, together // samples)

    def work():
        for start in range(0, prompts, at_once):
            part = ids[start:start + at_once].repeat_interleave(samples, 0)
            if cached:
                with torch.no_grad():
                    cache = model(common, use_cache=True).past_key_values
                cache.batch_repeat_interleave(len(part))
                generate(part, new, past_key_values=cache)
            else:
                generate(part, new)

    time = seconds(work)
    return {"seconds": time, "tokens_s": prompts * samples * new / time}


def train(batch, length):
    global optimizer
    if optimizer is None:
        model.train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    ids = tokens(batch, length)

    def step():
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()

    time = seconds(step)
    return {"tokens_s": batch * length / time, "seconds": time}


for request in serving.requests():
    size = request.get("size", [])
    if request["work"] != "versions" and request["work"] != "matmul" and model is None:
        model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
    match request["work"]:
        case "versions":
            answer = {"torch": torch.__version__, "transformers": transformers.__version__, "build": torch.__config__.show(), "threads": threads}
        case "matmul":
            answer = matmul(request["kind"], size)
        case "decode":
            answer = decode(*size)
        case "shared-prefix":
            answer = shared_prefix(*size, request["kind"])
        case "train":
            answer = train(*size)
        case _:
            serving.unknown(request)
    serving.respond(answer)
