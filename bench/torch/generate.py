"""transformers.generate with a KV cache, sampling at temperature 1."""

import time

import torch
from transformers import AutoModelForCausalLM


class Generate:
    def __init__(self, model, cache=None):
        self.model = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, attn_implementation="sdpa").eval()
        self.model.generation_config.eos_token_id = None  # every request runs to its length
        self.cache = {"cache_implementation": cache} if cache else {}

    @torch.inference_mode()
    def generate(self, prompts, tokens):
        ids = torch.tensor(prompts)
        start = time.perf_counter()
        output = self.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=1.0, top_k=0,
                                     top_p=1.0, max_new_tokens=tokens, pad_token_id=0, **self.cache)
        return {"seconds": time.perf_counter() - start, "tokens": output.numel() - ids.numel()}
