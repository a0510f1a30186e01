"""What the peers share: one request a line on standard input, one JSON answer a line, as engine-bench does it."""
import json
import os
import resource
import sys


def respond(answer):
    answer["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    sys.__stdout__.write(json.dumps(answer) + "\n")
    sys.__stdout__.flush()


def requests():
    for line in sys.stdin:
        yield json.loads(line)


def questions(path):
    """Prompt and answer of each line, as engine-bench puts them to the model."""
    instruction = "Solve the problem step by step and end with 'The answer is N.'\n\n"
    for line in open(path):
        row = json.loads(line)
        yield instruction + row["question"], str(row["answer"])


def unknown(request):
    sys.exit(f"{os.path.basename(sys.argv[0])} knows no work like {json.dumps(request)}")
