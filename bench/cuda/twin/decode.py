"""Generation with a static cache, compiled and replayed as one CUDA graph a step, as gpt-fast does it."""

import json
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.append(str(Path(__file__).resolve().parents[2] / "torch"))
from model import attend_causally, load  # noqa: E402

ROWS_AT_ONCE = 64  # of many requests; their cache is as long as the longest of them


def prefill_layer(layer, keys, values, x, cos, sin):
    """x [rows, tokens, hidden] from position 0 on."""

    def attend(q, k, v):
        keys[:, :, : k.shape[2]], values[:, :, : k.shape[2]] = k, v
        return attend_causally(q, k, v)

    return layer(x, cos, sin, attend)


def step_layer(layer, keys, values, x, cos, sin, mask, rows, positions):
    """x [rows, 1, hidden], row r at positions[r]."""

    def attend(q, k, v):
        keys[rows, :, positions], values[rows, :, positions] = k[:, :, 0], v[:, :, 0]
        # With one query a row, the heads that share a key are as good as queries of it, which every kernel has.
        shared = q.reshape(q.shape[0], keys.shape[1], -1, q.shape[-1])
        return F.scaled_dot_product_attention(shared, keys, values, attn_mask=mask).reshape(q.shape)

    return layer(x, cos, sin, attend)


class CachedDecoder:
    """Rows of different lengths: row r appends at its own position, and sees the positions up to it."""

    def __init__(self, decoder, rows, length, bench):
        self.decoder = decoder
        layer = decoder.layers[0]
        shape = (len(decoder.layers), rows, layer.kv_heads, length, layer.head_dim)
        self.keys, self.values = (torch.zeros(shape, device=bench.device, dtype=bench.dtype) for _ in range(2))
        angles = torch.outer(torch.arange(length, dtype=torch.float64), decoder.frequencies).repeat(1, 2)
        self.cos, self.sin = (table.to(device=bench.device, dtype=bench.dtype) for table in (angles.cos(), angles.sin()))
        self.rows = torch.arange(rows, device=bench.device)
        self.places = torch.arange(length, device=bench.device)
        # A layer compiled once serves all of them. What was compiled for other sizes counts towards a limit.
        torch._dynamo.reset()
        self.step_layer = torch.compile(step_layer, dynamic=False) if bench.compiled else step_layer

    def logits(self, x):
        decoder = self.decoder
        return decoder.logits(F.rms_norm(x, x.shape[-1:], decoder.norm, decoder.config["rms_norm_eps"])).float()

    def prefill(self, ids, lengths):
        """ids [rows, longest], padded behind each row's tokens; the logits behind them."""
        x, count = self.decoder.embedding(ids), ids.shape[1]
        for layer, keys, values in zip(self.decoder.layers, self.keys, self.values):
            x = prefill_layer(layer, keys, values, x, self.cos[:count], self.sin[:count])
        return self.logits(x[self.rows, lengths - 1])

    def step(self, ids, positions):
        """ids, positions [rows] -> logits [rows, vocab]"""
        x = self.decoder.embedding(ids[:, None])
        cos, sin = self.cos[positions][:, None, None], self.sin[positions][:, None, None]
        mask = (self.places[None] <= positions[:, None])[:, None, None]
        for layer, keys, values in zip(self.decoder.layers, self.keys, self.values):
            x = self.step_layer(layer, keys, values, x, cos, sin, mask, self.rows, positions)
        return self.logits(x[:, 0])


def draw(logits):
    """One token a row at temperature 1, without waiting for the device."""
    return (torch.softmax(logits, dim=-1) / torch.empty_like(logits).exponential_(1)).argmax(dim=-1)


class Generation:
    """Steps of a batch of requests: one graph on a card, calls elsewhere."""

    def __init__(self, bench, decoder, prompts, lengths):
        longest = max(len(prompt) for prompt in prompts)
        self.bench, self.steps = bench, max(lengths)
        length = -(-(longest + self.steps) // 64) * 64  # masks are read in whole vectors
        self.cached = CachedDecoder(decoder, len(prompts), length, bench)
        self.prompt_lengths = torch.tensor([len(prompt) for prompt in prompts], device=bench.device)
        self.prompts = torch.zeros(len(prompts), longest, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            self.prompts[row, : len(prompt)] = torch.tensor(prompt)
        self.prompts = self.prompts.to(bench.device)
        self.ids, self.positions = torch.zeros_like(self.prompt_lengths), self.prompt_lengths.clone()
        self.run = self.captured() if bench.device.type == "cuda" else self.advance

    def advance(self):
        self.ids.copy_(draw(self.cached.step(self.ids, self.positions)))
        self.positions.add_(1)

    def captured(self):
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.advance()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.advance()
        return graph.replay

    def start(self):
        self.ids.copy_(draw(self.cached.prefill(self.prompts, self.prompt_lengths)))
        self.positions.copy_(self.prompt_lengths)

    def decode(self):
        """Seconds of the steps behind the first token."""
        self.bench.synchronize()
        start = time.perf_counter()
        for _ in range(self.steps - 1):
            self.run()
        self.bench.synchronize()
        return time.perf_counter() - start

    def greedy(self):
        """The most likely tokens of the first row."""
        tokens, logits = [], self.cached.prefill(self.prompts, self.prompt_lengths)
        positions = self.prompt_lengths.clone()
        for _ in range(self.steps):
            ids = logits.argmax(dim=-1)
            tokens.append(ids[0].item())
            logits = self.cached.step(ids, positions) if len(tokens) < self.steps else logits
            positions += 1
        return tokens


def measure_one(bench, inputs, decoder):
    generation = Generation(bench, decoder, inputs["prompts"], inputs["lengths"])
    samples = []
    for _ in range(3):
        generation.start()
        samples.append(generation.decode() / (generation.steps - 1))
    tokens = generation.greedy()
    agreeing = next((i for i, (ours, theirs) in enumerate(zip(tokens, inputs["greedy"])) if ours != theirs), len(tokens))
    bench.report("decode", inputs["name"], samples, "compiled" if bench.compiled else "eager", tokens=1,
                 greedy_tokens=len(tokens), greedy_tokens_agreeing=agreeing)


def measure_many(bench, inputs, decoder):
    """Requests of like lengths together; graphs and compilation are not counted."""
    requests = sorted(zip(inputs["prompts"], inputs["lengths"]), key=lambda request: request[1])
    seconds = 0.0
    for first in range(0, len(requests), ROWS_AT_ONCE):
        prompts, lengths = zip(*requests[first : first + ROWS_AT_ONCE])
        generation = Generation(bench, decoder, prompts, lengths)
        generation.start()  # warm-up
        generation.run()
        seconds += bench.sample(generation.start) + generation.decode()
        del generation
    bench.report("decode", inputs["name"], [seconds], "compiled" if bench.compiled else "eager",
                 tokens=sum(inputs["lengths"]), rows_at_once=ROWS_AT_ONCE)


@torch.inference_mode()
def measure(bench):
    decoders = {}
    with open(Path(bench.exchange) / "inputs" / "decode.jsonl") as file:
        for inputs in map(json.loads, file):
            name = inputs["model"]
            if name not in decoders:
                decoders[name] = load(Path(bench.exchange) / "models" / name).to(device=bench.device, dtype=bench.dtype).eval()
            (measure_one if "greedy" in inputs else measure_many)(bench, inputs, decoders[name])
