"""A trainer such as people write by hand: one module, bf16 autocast, `torch.compile`, AdamW."""

# B = sequences, T = tokens, H = heads, D = width of a head, W = width of the model

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.benchmarks.turns import Turns
from tests.benchmarks.work import Work, train_windows


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (i, i + D / 2) of (B, H, T, D) by the angles of their positions."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class Block(nn.Module):
    """Attention and a gated feed-forward, each behind a norm and added to the stream."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        width, inner = work.width, work.feed_forward_width
        self.num_heads = work.num_heads
        self.norm_attention, self.norm_mlp = nn.RMSNorm(width), nn.RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.project = nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Map (B, T, W) to (B, T, W)."""
        batch, length, width = x.shape
        qkv = self.qkv(self.norm_attention(x))
        q, k, v = qkv.view(batch, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k = _rotate(q, cos, sin).to(v.dtype), _rotate(k, cos, sin).to(v.dtype)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # (B, H, T, D)
        x = x + self.project(mixed.transpose(1, 2).reshape(batch, length, width))
        gate, up = self.gate_up(self.norm_mlp(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class Decoder(nn.Module):
    """A Llama-type decoder with tied embeddings that returns its own loss."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.embed = nn.Embedding(work.vocab_size, work.width)
        self.blocks = nn.ModuleList(Block(work) for _ in range(work.num_layers))
        self.norm = nn.RMSNorm(work.width)
        half = work.width // work.num_heads // 2
        angles = torch.outer(torch.arange(work.length), 10_000.0 ** (-torch.arange(half) / half))
        self.register_buffer("cos", angles.cos(), persistent=False)  # (T, D / 2)
        self.register_buffer("sin", angles.sin(), persistent=False)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the mean cross-entropy of (B, T + 1) ids, each given those before it."""
        x = self.embed(ids[:, :-1])
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = F.linear(self.norm(x), self.embed.weight)
        return F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())


def train(work: Work, turns: Turns) -> None:
    """Train for `num_steps`."""
    torch.manual_seed(0)
    where = "cuda" if torch.cuda.is_available() else "cpu"
    model = Decoder(work).to(where)
    compiled = torch.compile(model, dynamic=False)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=work.learning_rate, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    windows, generator = train_windows(work), torch.Generator().manual_seed(0)
    turns.begin()
    for _ in range(work.num_steps):
        rows = torch.randint(len(windows), (work.batch_size,), generator=generator)
        with torch.autocast(where, torch.bfloat16):
            loss = compiled(torch.from_numpy(windows.windows(rows.numpy())).to(where))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        turns.step()
