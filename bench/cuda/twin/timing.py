"""Wall time from idle to idle, as ajet_bench_cuda takes it, and the JSON lines."""

import json
import statistics
import sys
import time

import torch


class Bench:
    def __init__(self, device, scale, seconds, exchange, compiled):
        self.device, self.small, self.seconds, self.exchange = torch.device(device), scale == "small", seconds, exchange
        self.compiled = compiled  # whether variants by torch.compile are measured too
        self.dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32

    def pick(self, full, small):
        return small if self.small else full

    def synchronize(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def sample(self, call, calls=1):
        self.synchronize()
        start = time.perf_counter()
        for _ in range(calls):
            call()
        self.synchronize()
        return (time.perf_counter() - start) / calls

    def measure(self, call, sample_seconds=0.01):
        """Samples of as many calls as take 10 ms or more, for `seconds` and at least five times (three, where a call takes
        over a second)."""
        self.sample(call)
        call_seconds = self.sample(call)
        calls, least = int(sample_seconds / call_seconds) + 1, 3 if call_seconds > 1 else 5
        samples, start = [], time.perf_counter()
        while len(samples) < least or time.perf_counter() - start < self.seconds:
            samples.append(self.sample(call, calls))
        return samples

    def report(self, figure, name, samples, variant="", **more):
        line = {"side": "pytorch", "figure": figure, "name": name, "variant": variant, "seconds": statistics.median(samples),
                "best_seconds": min(samples), "samples": len(samples), **more}
        print(json.dumps({key: value for key, value in line.items() if value != ""}), file=REPLIES, flush=True)

    def variants(self, call):
        """(name, function) of the eager call and of the one that torch.compile makes of it."""
        yield "eager", call
        if self.compiled:
            torch._dynamo.reset()
            yield "compiled", torch.compile(call, dynamic=False)


REPLIES = sys.stdout
sys.stdout = sys.stderr  # whatever libraries print
