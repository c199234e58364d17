"""The figures of ajet_bench_cuda in PyTorch, on the same shapes, weights and tokens: one JSON line a measurement.

python twin.py FIGURE... --exchange FOLDER [--device cuda|cpu] [--scale full|small] [--seconds S] [--compile on|off]

FOLDER is what ajet_bench_cuda wrote for the figures adamw, update, long and decode. Where a figure is measured in several
variants (eager, compiled), each has a line; the fastest is the twin."""

import argparse
import json
import sys
import warnings

import timing  # before what prints
import torch

import decode
import ops
import update


def adamw(bench):
    with open(f"{bench.exchange}/inputs/adamw.jsonl") as file:
        ops.adamw(bench, json.loads(file.readline())["elements"])


FIGURES = {"copy": ops.copy, "product": ops.product, "attention": ops.attention, "norms": ops.norms, "adamw": adamw,
           "head": ops.head, "update": lambda bench: update.measure(bench, "update"),
           "long": lambda bench: update.measure(bench, "long"), "decode": decode.measure}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("figures", nargs="+", choices=FIGURES)
    parser.add_argument("--exchange", required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--scale", choices=("full", "small"), default="full")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--compile", choices=("on", "off"), default="on")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.manual_seed(1)
    bench = timing.Bench(arguments.device, arguments.scale, arguments.seconds, arguments.exchange, arguments.compile == "on")
    name = torch.cuda.get_device_name(bench.device) if bench.device.type == "cuda" else "cpu"
    print(json.dumps({"side": "pytorch", "about": f"PyTorch {torch.__version__}, {name}"}), file=timing.REPLIES, flush=True)
    failed = False
    for figure in arguments.figures:
        try:
            FIGURES[figure](bench)
        except Exception as error:  # the other figures are worth having
            print(f"{figure}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            failed = True
    sys.exit(1 if failed else 0)


main()
