"""The three products of a linear layer, y = x Wᵀ, dx = dy W and dW = dyᵀ x, into buffers that exist already."""

import statistics
import time

import torch


def median_seconds(call, seconds):
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
    def matmul(self, m, k, n, seconds):
        x, w, dy = torch.rand(m, k) - 0.5, torch.rand(n, k) - 0.5, torch.rand(m, n) - 0.5
        y, dx, dw = torch.empty(m, n), torch.empty(m, k), torch.empty(n, k)
        return {
            "forward": median_seconds(lambda: torch.mm(x, w.t(), out=y), seconds),
            "dx": median_seconds(lambda: torch.mm(dy, w, out=dx), seconds),
            "dw": median_seconds(lambda: torch.mm(dy.t(), x, out=dw), seconds),
        }
