"""A table of what ajet_bench_cuda and its twin measured: python table.py results.jsonl [--markdown].

Rates are fractions of the fastest copy and of the fastest large product of the same file, whichever side they are of. With
--markdown it is a section for bench/RESULTS.md. Exit code 1 where the two sides disagree about numbers, or where there is
nothing to show; a target that is missed is shown, and is no failure."""

import json
import sys

GIB = 2**30
# (figure, beginning of the name, quantity, at least); peak_gib is at most. `of_copy` and `of_product` are fractions.
TARGETS = [
    ("update", "qwen3-0.6b, 8 x (512 + 1024)", "of_product", 0.35),
    ("update", "qwen2.5-1.5b, 8 x (512 + 1024)", "of_product", 0.42),
    ("update", "qwen3-0.6b, 8 x (512 + 1024)", "ratio", 1.7),
    ("update", "qwen2.5-1.5b, 8 x (512 + 1024)", "ratio", 1.7),
    ("update", "qwen3-0.6b, 8 x (2048 + 512)", "ratio", 3.0),
    ("update", "qwen2.5-1.5b, 8 x (2048 + 512)", "ratio", 3.0),
    ("long", "qwen3-0.6b", "tokens_per_second", 20000),
    ("long", "qwen3-0.6b", "peak_gib", 12.5),
    ("attention", "unmasked, 16384, forward", "tflops", 350),
    ("attention", "unmasked, 16384, backward", "tflops", 300),
    ("decode", "qwen3-0.6b, 1 x", "of_copy", 0.5),
    ("decode", "qwen2.5-1.5b, 1 x", "of_copy", 0.65),
    ("decode", "qwen3-0.6b, 256 x", "of_copy", 0.7),
    ("adamw", "step, qwen3-0.6b", "of_copy", 0.85),
    ("norms", "layer norm", "of_copy", 0.85),
    ("norms", "head norm", "of_copy", 0.85),
    ("head", "log-probs, qwen3-0.6b", "of_product", 0.6),
]
# How far the twin may be off, by the element type of the products: (mean difference of log-probs, relative difference of
# the gradient's norm).
TOLERANCE = {"float32": (1e-4, 1e-3), "bfloat16": (0.03, 0.05)}


def read(path):
    with open(path) as file:
        lines = [json.loads(line) for line in file]
    return lines, {key: value for line in lines if "about" in line for key, value in line.items() if key != "side"}


def rate(line, work):
    return line.get(work, 0.0) / line["seconds"]


def fastest_rate(lines, figure, work):
    return max((rate(line, work) for line in lines if line.get("figure") == figure), default=0.0)


def fastest_twin(lines, ours):
    twins = [line for line in lines if line.get("side") == "pytorch" and line.get("figure") == ours["figure"]
             and ours["name"].startswith(line["name"])]  # ajet's may tell of memory that it saves
    return min(twins, key=lambda line: line["seconds"], default=None)


def quantities(ours, twin, copy, product):
    values = {}
    if "bytes" in ours and copy:
        values["of_copy"] = rate(ours, "bytes") / copy
    if "flops" in ours:
        values["tflops"] = rate(ours, "flops") / 1e12
        if product:
            values["of_product"] = rate(ours, "flops") / product
    if "tokens" in ours:
        values["tokens_per_second"] = rate(ours, "tokens")
    if "peak_bytes" in ours:
        values["peak_gib"] = ours["peak_bytes"] / GIB
    if twin:
        values["ratio"] = twin["seconds"] / ours["seconds"]
    return values


def verdict(quantity, value, target):
    label = {"of_copy": "of copy", "of_product": "of product", "ratio": "x PyTorch", "tokens_per_second": "tokens/s",
             "peak_gib": "GiB", "tflops": "TFLOP/s"}[quantity]
    holds = value <= target if quantity == "peak_gib" else value >= target
    return f"{value:,.3g} {label}, target {target:g}: {'holds' if holds else 'MISSED'}"


def row(ours, twin, values):
    rates = []
    if "bytes" in ours:
        rates.append(f"{rate(ours, 'bytes') / 1e9:,.0f} GB/s")
    if "tflops" in values:
        rates.append(f"{values['tflops']:,.3g} TFLOP/s")
    if ours.get("tokens", 0) > 1 or ours["figure"] == "decode":
        rates.append(f"{values['tokens_per_second']:,.0f} tokens/s")
    fraction = values.get("of_copy", values.get("of_product"))
    variant = f" ({twin['variant']})" if twin and "variant" in twin else ""
    verdicts = [verdict(quantity, values[quantity], target) for figure, name, quantity, target in TARGETS
                if figure == ours["figure"] and ours["name"].startswith(name) and quantity in values]
    what = ours["name"] + (f", {ours['kernel']}" if "kernel" in ours else "")
    return [ours["figure"], what, f"{ours['seconds'] * 1e3:,.4g}", ", ".join(rates),
            "" if fraction is None else f"{fraction:.1%}", f"{twin['seconds'] * 1e3:,.4g}{variant}" if twin else "",
            f"{values['ratio']:.2f}" if twin else "", "; ".join(verdicts)]


def disagreements(lines, dtype):
    """Where the twin computes something else from the same weights and tokens."""
    mean_limit, norm_limit = TOLERANCE[dtype]
    for line in lines:
        where = f"{line.get('figure')} {line.get('name')} ({line.get('variant')})"
        off, norm = line.get("logprob_mean_difference", 0.0), line.get("grad_norm_difference", 0.0)
        if not (off <= mean_limit and norm <= norm_limit):
            yield f"{where}: log-probs differ by {off:.3g} on average, the gradient's norm by {norm:.3g} of itself"
        if dtype == "float32" and line.get("greedy_tokens_agreeing") != line.get("greedy_tokens"):
            yield f"{where}: {line['greedy_tokens_agreeing']} of {line['greedy_tokens']} greedy tokens agree"


def main():
    markdown = "--markdown" in sys.argv
    lines, about = read(next(argument for argument in sys.argv[1:] if not argument.startswith("--")))
    copy, product = fastest_rate(lines, "copy", "bytes"), fastest_rate(lines, "product", "flops")
    head = ["figure", "what", "ms", "rate", "of copy or product", "PyTorch ms", "ratio", "target"]
    rows = []
    for ours in (line for line in lines if line.get("side") == "ajet" and "figure" in line):
        twin = fastest_twin(lines, ours)
        rows.append(row(ours, twin, quantities(ours, twin, copy, product)))
    if markdown:
        print(f"- {about.get('date', '?')}, commit {about.get('commit', '?')}\n- {about.get('device', '?')}; {about.get('about', '?')}")
        print(f"- `{about.get('command', '?')}`\n\nCopy: {copy / 1e9:,.0f} GB/s; product: {product / 1e12:,.0f} TFLOP/s.\n")
        print("\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows]))
    else:
        print(f"copy {copy / 1e9:,.0f} GB/s, product {product / 1e12:,.3g} TFLOP/s; fractions are of these")
        widths = [max(len(cells[i]) for cells in [head, *rows]) for i in range(len(head))]
        for cells in [head, *rows]:
            print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())
    wrong = list(disagreements(lines, about.get("dtype", "bfloat16")))
    for text in wrong:
        print(f"DISAGREES: {text}")
    sys.exit(1 if wrong or not rows else 0)


main()
