"""llama.cpp through llama-cpp-python. usage: llama_peer.py FILE.gguf [THREADS]"""
import os
import random
import sys
import time

import llama_cpp
import serving

threads = int(sys.argv[2]) if len(sys.argv) > 2 else os.cpu_count()
model = llama_cpp.Llama(sys.argv[1], n_ctx=4096, n_threads=threads, n_threads_batch=threads, verbose=False, n_batch=512)
generator = random.Random(0)
ids = [generator.randint(10, 40000) for _ in range(512)]


def prefill(count):
    model.reset()
    began = time.perf_counter()
    model.eval(ids[:count])
    taken = time.perf_counter() - began
    return {"tokens_s": count / taken, "seconds": taken}


def decode(sequences, prompt, new):
    """Sequences in parallel through the low-level interface; the time is that of decoding alone, without choosing tokens."""
    options = llama_cpp.llama_context_default_params()
    options.n_ctx, options.n_batch, options.n_ubatch = sequences * 256, 2048, 512
    options.n_threads = options.n_threads_batch = threads
    options.n_seq_max, options.kv_unified = sequences, False
    context = llama_cpp.llama_init_from_model(model._model.model, options)
    batch = llama_cpp.llama_batch_init(2048, 0, 1)

    def run(entries):
        batch.n_tokens = len(entries)
        for index, (token, position, sequence, wanted) in enumerate(entries):
            batch.token[index], batch.pos[index], batch.n_seq_id[index], batch.seq_id[index][0], batch.logits[index] = token, position, 1, sequence, wanted
        if llama_cpp.llama_decode(context, batch) != 0:
            sys.exit("llama_decode failed")

    for sequence in range(sequences):
        run([(ids[(sequence + at) % 512], at, sequence, int(at == prompt - 1)) for at in range(prompt)])
    began = time.perf_counter()
    for step in range(new):
        run([(ids[(sequence + step) % 512], prompt + step, sequence, 1) for sequence in range(sequences)])
    taken = time.perf_counter() - began
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)
    return {"tokens_s": sequences * new / taken, "seconds": taken}


for request in serving.requests():
    match request["work"]:
        case "versions":
            answer = {"llama-cpp-python": llama_cpp.__version__, "build": llama_cpp.llama_print_system_info().decode(), "threads": threads}
        case "prefill":
            answer = prefill(*request["size"])
        case "decode":
            answer = decode(*request["size"])
        case _:
            serving.unknown(request)
    serving.respond(answer)
