"""The three products of a linear layer, y = x Wᵀ, dx = dy W and dW = dyᵀ x, into buffers that exist already."""

import statistics
import time

import torch


def median_seconds(call, seconds):
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds / 2:
        call()
    times = []
    total = 0.0
    while len(times) < 5 or total < seconds:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
        total += times[-1]
    return statistics.median(times)


class Matmul:
    @torch.inference_mode()
    def forward(self, m, k, n, seconds):
        x, w, y = torch.rand(m, k) - 0.5, torch.rand(n, k) - 0.5, torch.empty(m, n)
        return {"seconds": median_seconds(lambda: torch.mm(x, w.t(), out=y), seconds)}

    @torch.inference_mode()
    def dx(self, m, k, n, seconds):
        dy, w, dx = torch.rand(m, n) - 0.5, torch.rand(n, k) - 0.5, torch.empty(m, k)
        return {"seconds": median_seconds(lambda: torch.mm(dy, w, out=dx), seconds)}

    @torch.inference_mode()
    def dw(self, m, k, n, seconds):
        x, dy, dw = torch.rand(m, k) - 0.5, torch.rand(m, n) - 0.5, torch.empty(n, k)
        return {"seconds": median_seconds(lambda: torch.mm(dy.t(), x, out=dw), seconds)}
