"""The GRPO update in PyTorch: forward, clipped loss, backward, clipping, fused AdamW."""

import json
import time

import torch
from safetensors import safe_open

from model import load
from rows import CLIP_HIGH, CLIP_LOW, micro_batches


class Update:
    def __init__(self, model, batches, micro_rows, compile=False):
        self.model = load(model)
        with open(batches) as file:
            self.batches = [micro_batches(batch, micro_rows) for batch in json.load(file)]
        matrices = [p for p in self.model.parameters() if p.dim() > 1]
        vectors = [p for p in self.model.parameters() if p.dim() == 1]
        # A step changes no weight visibly, so that every repeat does the same work.
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}], lr=1e-12, fused=True)
        self.micro_loss = torch.compile(self.loss_of, dynamic=True) if compile else self.loss_of

    def loss_of(self, ids, parents, targets, old_logprobs, advantages):
        """Summed over the micro-batch's trained tokens."""
        hidden = self.model(ids).flatten(0, 1)[parents]
        logprobs = -torch.nn.functional.cross_entropy(self.model.logits(hidden), targets, reduction="none")
        ratio = (logprobs - old_logprobs).exp()
        clipped = ratio.clamp(1 - CLIP_LOW, 1 + CLIP_HIGH)
        return -torch.minimum(ratio * advantages, clipped * advantages).sum()

    def backward(self, batch):
        self.optimizer.zero_grad(set_to_none=True)
        trained = sum(len(rows.targets) for rows in batch)
        total = 0.0
        for rows in batch:
            loss = self.micro_loss(rows.ids, rows.parents, rows.targets, rows.old_logprobs, rows.advantages) / trained
            loss.backward()
            total += loss.item()
        return total

    def step(self, batch):
        rows = self.batches[batch]
        start = time.perf_counter()
        loss = self.backward(rows)
        backward_seconds = time.perf_counter() - start
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return {"seconds": time.perf_counter() - start, "loss": loss, "backwardSeconds": backward_seconds,
                "padded": sum(micro.ids.numel() for micro in rows)}

    def gradients(self, folder, batch):
        """Against ajet's: the first moment after one step is (1 - beta1) times the gradient."""
        loss = self.backward(self.batches[batch])
        sources = self.model.sources()
        difference = norm = 0.0
        with safe_open(f"{folder}/trainer_state.safetensors", framework="pt") as file:
            for name, parameter in self.model.named_parameters():
                theirs = torch.cat([file.get_tensor(f"{source}.m") for source in sources[name]]) / (1 - 0.9)
                difference += (parameter.grad - theirs).double().square().sum().item()
                norm += theirs.double().square().sum().item()
        return {"loss": loss, "gradNorm": norm**0.5, "relativeError": (difference / norm) ** 0.5}
