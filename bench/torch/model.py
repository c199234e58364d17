"""A decoder of the Qwen2, Qwen3 or Llama family in plain PyTorch, in the form that was fastest on CPUs: q|k|v and gate|up
are one product each, attention is scaled_dot_product_attention, and logits are computed only where a loss needs them."""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import nn


def attend_causally(q, k, v):
    """q [rows, heads, length, head_dim]; padding follows a row's tokens, so that the causal mask is enough."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, self.head_dim = config["hidden_size"], config["head_dim"]
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.eps = config["rms_norm_eps"]
        width, inner = self.heads * self.head_dim, config["intermediate_size"]
        qkv_bias = config["model_type"] == "qwen2" or config.get("attention_bias", False)
        self.input_norm = nn.Parameter(torch.empty(hidden))
        self.qkv = nn.Linear(hidden, width + 2 * self.kv_heads * self.head_dim, bias=qkv_bias)
        self.o = nn.Linear(width, hidden, bias=False)
        self.post_norm = nn.Parameter(torch.empty(hidden))
        self.gate_up = nn.Linear(hidden, 2 * inner, bias=False)
        self.down = nn.Linear(inner, hidden, bias=False)
        if config["model_type"] == "qwen3":
            self.q_norm = nn.Parameter(torch.empty(self.head_dim))
            self.k_norm = nn.Parameter(torch.empty(self.head_dim))
        else:
            self.q_norm = self.k_norm = None

    def forward(self, x, cos, sin, attend=attend_causally):
        """x [rows, length, hidden]; cos and sin [length, head_dim]; attend(q, k, v) as attend_causally."""
        rows, length, _ = x.shape
        qkv = self.qkv(F.rms_norm(x, x.shape[-1:], self.input_norm, self.eps))
        qkv = qkv.view(rows, length, self.heads + 2 * self.kv_heads, self.head_dim)
        q, k, v = qkv.split([self.heads, self.kv_heads, self.kv_heads], dim=2)
        if self.q_norm is not None:
            q = F.rms_norm(q, (self.head_dim,), self.q_norm, self.eps)
            k = F.rms_norm(k, (self.head_dim,), self.k_norm, self.eps)
        q, k = rotate(q.transpose(1, 2), cos, sin), rotate(k.transpose(1, 2), cos, sin)
        attended = attend(q, k, v.transpose(1, 2))
        x = x + self.o(attended.transpose(1, 2).reshape(rows, length, -1))
        gate, up = self.gate_up(F.rms_norm(x, x.shape[-1:], self.post_norm, self.eps)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


def rotate(x, cos, sin):
    low, high = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-high, low), dim=-1) * sin


class Decoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))
        self.norm = nn.Parameter(torch.empty(config["hidden_size"]))
        tied = config.get("tie_word_embeddings", False)
        self.head = None if tied else nn.Linear(config["hidden_size"], config["vocab_size"], bias=False)
        exponents = torch.arange(0, config["head_dim"], 2, dtype=torch.float64) / config["head_dim"]
        self.frequencies = 1.0 / config["rope_theta"] ** exponents

    def forward(self, ids):
        """ids [rows, length] -> [rows, length, hidden], after the last norm."""
        angles = torch.outer(torch.arange(ids.shape[1], dtype=torch.float64), self.frequencies).repeat(1, 2)
        cos, sin = angles.cos().float(), angles.sin().float()
        x = self.embedding(ids)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return F.rms_norm(x, x.shape[-1:], self.norm, self.config["rms_norm_eps"])

    def logits(self, hidden):
        return F.linear(hidden, self.embedding.weight if self.head is None else self.head.weight)

    def sources(self):
        """Hugging Face names of what each parameter consists of, stacked in that order."""
        names = {"embedding.weight": ["model.embed_tokens.weight"], "norm": ["model.norm.weight"], "head.weight": ["lm_head.weight"]}
        for i in range(len(self.layers)):
            layer, attention, mlp = f"model.layers.{i}.", f"model.layers.{i}.self_attn.", f"model.layers.{i}.mlp."
            for kind in ("weight", "bias"):
                names[f"layers.{i}.qkv.{kind}"] = [f"{attention}{part}_proj.{kind}" for part in "qkv"]
            names[f"layers.{i}.o.weight"] = [attention + "o_proj.weight"]
            names[f"layers.{i}.gate_up.weight"] = [mlp + "gate_proj.weight", mlp + "up_proj.weight"]
            names[f"layers.{i}.down.weight"] = [mlp + "down_proj.weight"]
            names[f"layers.{i}.input_norm"] = [layer + "input_layernorm.weight"]
            names[f"layers.{i}.post_norm"] = [layer + "post_attention_layernorm.weight"]
            names[f"layers.{i}.q_norm"] = [attention + "q_norm.weight"]
            names[f"layers.{i}.k_norm"] = [attention + "k_norm.weight"]
        return {name: names[name] for name, _ in self.named_parameters()}


def load(folder):
    """A Hugging Face folder with one safetensors file."""
    folder = Path(folder)
    config = json.loads((folder / "config.json").read_text())
    config.setdefault("head_dim", config["hidden_size"] // config["num_attention_heads"])
    if "rope_theta" not in config:
        config["rope_theta"] = config["rope_parameters"]["rope_theta"]
    model = Decoder(config)
    sources = model.sources()
    with safe_open(folder / "model.safetensors", framework="pt") as file, torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.cat([file.get_tensor(source) for source in sources[name]]))
    return model
