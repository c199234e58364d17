"""The GRPO update as a usual trainer does it with transformers: the prompt repeated for each response, SDPA, fp32 weights under
bf16 autocast (fp32 on a CPU), TRL's log-softmax, fused AdamW."""

import gc
import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from ops import selective_log_softmax

CLIP_LOW, CLIP_HIGH = 0.2, 0.28  # of the preset `ajet`


class Update:
    def __init__(self, bench, inputs, compiled=False):
        self.bench = bench
        folder = Path(bench.exchange) / "models" / inputs["model"]
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
        self.model.to(bench.device).train()
        self.log_softmax = selective_log_softmax
        if compiled:  # layer by layer: as fast, and compiled once for all of them
            torch._dynamo.reset()
            for layer in self.model.model.layers:
                layer.compile(dynamic=False)
            self.log_softmax = torch.compile(selective_log_softmax, dynamic=False)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.0, weight_decay=0.01, fused=True)
        responses = torch.tensor(inputs["responses"], device=bench.device)
        prompt = torch.tensor(inputs["prompt"], device=bench.device)
        self.responses, self.ids = responses, torch.cat([prompt.expand(len(responses), -1), responses], dim=1)
        self.old = torch.tensor(inputs["logprobs"], device=bench.device)
        self.advantages = torch.tensor(inputs["advantages"], device=bench.device, dtype=torch.float32)[:, None]

    def logprobs(self, rows):
        length = self.responses.shape[1]
        with torch.autocast(self.bench.device.type, torch.bfloat16, enabled=self.bench.device.type == "cuda"):
            logits = self.model(self.ids[rows], logits_to_keep=length + 1, use_cache=False).logits[:, :-1]
            return self.log_softmax(logits, self.responses[rows])

    def step(self, rows_at_once):
        for first in range(0, len(self.ids), rows_at_once):
            rows = slice(first, first + rows_at_once)
            ratio = (self.logprobs(rows).float() - self.old[rows]).exp()
            clipped = ratio.clamp(1 - CLIP_LOW, 1 + CLIP_HIGH)
            advantages = self.advantages[rows]
            (-torch.minimum(ratio * advantages, clipped * advantages).sum() / self.responses.numel()).backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def fitting(self):
        """Rows at once that fit the card; gradients are checkpointed only where one row does not."""
        for checkpointing in (False, True):
            if checkpointing:
                self.model.gradient_checkpointing_enable({"use_reentrant": False})
            for rows in (8, 4, 2, 1):
                if rows <= max(1, len(self.ids)) and self.fits(rows):
                    return rows, checkpointing
        raise RuntimeError("One row does not fit the card")

    def fits(self, rows):
        try:
            self.step(rows)
            return True
        except torch.OutOfMemoryError:
            pass  # the error's frames hold tensors until here
        self.optimizer.zero_grad(set_to_none=True)
        release(self.bench)
        return False

    @torch.no_grad()
    def differences(self):
        """From ajet's own log-probs of the same tokens under the same weights."""
        off = torch.cat([(self.logprobs(slice(i, i + 1)).float() - self.old[i]).flatten() for i in range(len(self.ids))]).abs()
        return {"logprob_mean_difference": off.mean().item(), "logprob_max_difference": off.max().item()}


def release(bench):
    """Gives back what nothing refers to."""
    gc.collect()
    if bench.device.type == "cuda":
        torch.cuda.empty_cache()


def measure(bench, figure):
    with open(Path(bench.exchange) / "inputs" / f"{figure}.jsonl") as file:
        for inputs in map(json.loads, file):
            for compiled in (False, True) if bench.compiled else (False,):
                measure_case(bench, figure, inputs, compiled)


def measure_case(bench, figure, inputs, compiled):
    release(bench)
    if bench.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    update = Update(bench, inputs, compiled)
    rows, checkpointing = update.fitting()
    norm = update.step(rows).item()
    samples = bench.measure(lambda: update.step(rows))
    facts = update.differences()
    if bench.device.type == "cuda":
        facts["peak_bytes"] = torch.cuda.max_memory_allocated()
    tokens = update.ids.numel() if figure == "long" else update.responses.numel()
    bench.report(figure, inputs["name"], samples, "compiled" if compiled else "eager", tokens=tokens, rows_at_once=rows,
                 checkpointing=checkpointing, grad_norm=norm,
                 grad_norm_difference=abs(norm - inputs["grad_norm"]) / inputs["grad_norm"], **facts)
