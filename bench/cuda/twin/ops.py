"""The single operations: the same shapes, work and names as ajet_bench_cuda's."""

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel


def copy(bench):
    elements = bench.pick(1 << 30, 1 << 22)
    source = torch.rand(elements, device=bench.device)
    target = torch.empty_like(source)
    bench.report("copy", f"{elements * 4 >> 20} MiB", bench.measure(lambda: target.copy_(source)), bytes=8.0 * elements)


def product(bench):
    size = bench.pick(8192, 256)
    x, w = (torch.rand(size, size, device=bench.device, dtype=bench.dtype) * 2 - 1 for _ in range(2))
    y = torch.empty_like(x)
    name = f"{size} x {size} x {size}"
    for label, operands in {"forward": (x, w.t()), "dx": (x, w), "dw": (x.t(), w)}.items():
        bench.report("product", f"{label}, {name}", bench.measure(lambda: torch.mm(*operands, out=y)), flops=2.0 * size**3)


def attention(bench):
    tokens, heads, kv_heads, width = bench.pick(16384, 256), bench.pick(16, 4), bench.pick(8, 2), bench.pick(128, 32)

    def random(count):
        return torch.rand(1, count, tokens, width, device=bench.device, dtype=bench.dtype).mul_(2).sub_(1).requires_grad_()

    q, k, v = random(heads), random(kv_heads), random(kv_heads)
    dout = torch.rand_like(q)
    backends = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}
    if bench.device.type == "cpu":
        backends = {"flash": SDPBackend.FLASH_ATTENTION}
    for name, causal in {"unmasked": False, "causal": True}.items():
        pairs = tokens * (tokens + 1) / 2 if causal else float(tokens * tokens)
        product_flops = 2.0 * heads * width * pairs
        for variant, backend in backends.items():
            try:
                with sdpa_kernel(backend):
                    def forward():
                        return F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)

                    with torch.no_grad():
                        samples = bench.measure(forward)
                    bench.report("attention", f"{name}, {tokens}, forward", samples, variant, flops=2 * product_flops)
                    out = forward()
                    samples = bench.measure(lambda: torch.autograd.grad(out, (q, k, v), dout, retain_graph=True))
                    bench.report("attention", f"{name}, {tokens}, backward", samples, variant, flops=5 * product_flops)
            except RuntimeError as error:  # a backend that this card or build does not have
                print(f"attention by {variant}: {error}")


def rotate(x, cos, sin):
    low, high = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-high, low), dim=-1) * sin


def norms(bench):
    rows, size = bench.pick(65536, 512), torch.finfo(bench.dtype).bits // 8
    hidden, heads, width = bench.pick(1024, 64), bench.pick(16, 4), bench.pick(128, 32)

    def layer_norm(x, weight):
        return F.rms_norm(x, (hidden,), weight, 1e-6).to(bench.dtype)

    def head_norm(x, weight):
        return F.rms_norm(x.float(), (width,), weight, 1e-6).to(bench.dtype)

    def head_norm_and_rotation(x, weight, cos, sin):
        return rotate(head_norm(x, weight), cos, sin)

    def measure(function, direction, label, shape, dtype, *tables):
        x = torch.rand(*shape, device=bench.device, dtype=dtype).requires_grad_()
        weight = torch.rand(shape[-1], device=bench.device).requires_grad_()
        for variant, norm in bench.variants(function):
            with torch.set_grad_enabled(direction == "backward"):
                y = norm(x, weight, *tables)
                dy = torch.rand_like(y)
                if direction == "forward":
                    samples = bench.measure(lambda: norm(x, weight, *tables))
                else:
                    samples = bench.measure(lambda: torch.autograd.grad(y, (x, weight), dy, retain_graph=True))
            moved = x.element_size() * (1 if direction == "forward" else 2) + size
            bench.report("norms", f"{label}, {rows} x {x.numel() // rows}, {direction}", samples, variant,
                         bytes=float(x.numel() * moved))

    angles = torch.rand(rows, 1, width, device=bench.device)
    measure(layer_norm, "forward", "layer norm", (rows, hidden), torch.float32)
    measure(layer_norm, "backward", "layer norm", (rows, hidden), torch.float32)
    measure(head_norm_and_rotation, "forward", "head norm and rotation", (rows, heads, width), bench.dtype,
            angles.cos().to(bench.dtype), angles.sin().to(bench.dtype))
    measure(head_norm, "backward", "head norm", (rows, heads, width), bench.dtype)


def adamw(bench, elements):
    """`elements`: of the model's parameters, as ajet's line says."""
    name = bench.pick("qwen3-0.6b", "small-qwen3")
    weight = torch.rand(elements, device=bench.device).requires_grad_()
    weight.grad = torch.rand_like(weight)
    optimizer = torch.optim.AdamW([weight], lr=1e-6, weight_decay=0.01, fused=True)
    bench.report("adamw", f"step, {name}", bench.measure(optimizer.step), bytes=28.0 * elements)
    norm = bench.measure(lambda: torch.linalg.vector_norm(weight.grad))
    bench.report("adamw", f"gradient norm, {name}", norm, bytes=4.0 * elements)


def selective_log_softmax(logits, ids):
    """Log-probs of ids under logits [rows, tokens, vocab], as TRL computes them: by log-sum-exp in fp32, by log-softmax row by
    row in bf16, where log-sum-exp is not exact enough."""
    if logits.dtype in (torch.float32, torch.float64):
        chosen = logits.gather(-1, ids.unsqueeze(-1)).squeeze(-1)
        return chosen - torch.stack([row.logsumexp(-1) for row in logits])
    return torch.stack([F.log_softmax(row, dim=-1).gather(-1, row_ids.unsqueeze(-1)).squeeze(-1)
                        for row, row_ids in zip(logits, ids)])


def head(bench):
    name = bench.pick("qwen3-0.6b", "small-qwen3")
    tokens, hidden, vocab = bench.pick(8192, 64), bench.pick(1024, 64), bench.pick(151936, 512)
    states, weight = ((torch.rand(*size, device=bench.device, dtype=bench.dtype) * 2 - 1).requires_grad_()
                      for size in ((8, tokens // 8, hidden), (vocab, hidden)))
    ids = torch.randint(vocab, (8, tokens // 8), device=bench.device)

    def logprobs(states, weight):
        return selective_log_softmax(states @ weight.t(), ids)

    def with_gradients(function):
        states.grad = weight.grad = None
        function(states, weight).sum().backward()

    flops = 2.0 * tokens * hidden * vocab
    for variant, function in bench.variants(logprobs):
        with torch.no_grad():
            samples = bench.measure(lambda: function(states, weight))
        bench.report("head", f"log-probs, {name}, {tokens} tokens", samples, variant, flops=flops, tokens=tokens)
        samples = bench.measure(lambda: with_gradients(function))
        bench.report("head", f"log-probs and gradients, {name}, {tokens} tokens", samples, variant, flops=3 * flops,
                     tokens=tokens)
