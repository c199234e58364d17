"""PyTorch's side of a comparison: one JSON command a line on stdin, one JSON reply a line on stdout.

python worker.py TASK '{"threads": 2, ...}' with TASK update, generate or matmul; the other keys are the task's arguments,
and a command's `op` names its method."""

import json
import sys
import warnings

import torch


def make_task(name, arguments):
    if name == "update":
        from update import Update

        return Update(**arguments)
    if name == "generate":
        from generate import Generate

        return Generate(**arguments)
    if name == "matmul":
        from matmul import Matmul

        return Matmul(**arguments)
    raise ValueError(f"Unknown task {name}")


def main():
    warnings.filterwarnings("ignore")
    replies = sys.stdout
    sys.stdout = sys.stderr  # whatever libraries print
    arguments = json.loads(sys.argv[2])
    torch.set_num_threads(arguments.pop("threads"))
    torch.manual_seed(1)
    task = make_task(sys.argv[1], arguments)
    print(json.dumps({"ready": f"PyTorch {torch.__version__}"}), file=replies, flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        print(json.dumps(getattr(task, command.pop("op"))(**command)), file=replies, flush=True)


main()
