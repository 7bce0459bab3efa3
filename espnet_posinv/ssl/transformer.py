"""The transformer layer that the encoders share, with keys of padding masked out."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class SelfAttention(nn.Module):
    """Multi-head self-attention through PyTorch's fused kernels (flash attention where there is one)."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor, keys: torch.Tensor | None, relative: torch.Tensor | None = None):
        """x (B, N, D); keys (B, 1, 1, N) bool, True where attended, or None for all; -> (B, N, D)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias(x, keys, relative))
        return self.out(y.transpose(1, 2).flatten(2))

    def bias(self, x, keys, relative):
        """What is added to the scores; here nothing but the mask."""
        return keys


class GatedRelativeAttention(SelfAttention):
    """WavLM's attention: a relative position bias, gated by each query (arXiv 2110.13900, section IV-A)."""

    def __init__(self, dim: int, heads: int):
        super().__init__(dim, heads)
        self.gate = nn.Linear(dim // heads, 8)
        self.gate_scale = nn.Parameter(torch.ones(1, heads, 1, 1))

    def bias(self, x, keys, relative):
        """Gate (B, H, N, 1) times the position bias (H, N, N); -inf at masked keys."""
        per_head = x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        a, b = self.gate(per_head).unflatten(-1, (2, 4)).sum(-1).sigmoid().chunk(2, dim=-1)
        bias = (a * (b * self.gate_scale - 1.0) + 2.0) * relative
        return bias if keys is None else bias.masked_fill(~keys, -math.inf)


class RelativePositions(nn.Module):
    """One learned value per head and bucket of the distance between key and query (T5's buckets).

    Half of the buckets are for keys behind, half for keys ahead; of each half, the first half are one
    distance each, the rest widen logarithmically up to ``max_distance``.
    """

    def __init__(self, buckets: int, max_distance: int, heads: int):
        super().__init__()
        self.max_distance = max_distance
        self.values = nn.Embedding(buckets, heads)

    def forward(self, frames: int) -> torch.Tensor:
        """-> (H, frames, frames)."""
        position = torch.arange(frames, device=self.values.weight.device)
        distance = position[None, :] - position[:, None]
        side = self.values.num_embeddings // 2
        exact = side // 2
        near = distance.abs()
        log_ratio = (near.clamp(min=1) / exact).log() / math.log(self.max_distance / exact)
        far = (exact + log_ratio * (side - exact)).long().clamp(max=side - 1)
        bucket = torch.where(near < exact, near, far) + (distance > 0) * side
        return self.values(bucket).permute(2, 0, 1)


class Layer(nn.Module):
    """Attention and feed-forward with residuals, normalised before (pre_norm) or after each of the two."""

    def __init__(self, attention: SelfAttention, dim: int, ffn_dim: int, pre_norm: bool, eps: float):
        super().__init__()
        self.pre_norm = pre_norm
        self.attention = attention
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.ffn1 = nn.Linear(dim, ffn_dim)
        self.ffn2 = nn.Linear(ffn_dim, dim)
        self.norm2 = nn.LayerNorm(dim, eps=eps)

    def forward(self, x, keys, relative=None):
        """x (B, N, D), keys (B, 1, 1, N) or None, relative (H, N, N) or None -> (B, N, D)."""
        if self.pre_norm:
            x = x + self.attention(self.norm1(x), keys, relative)
            return x + self.feed_forward(self.norm2(x))
        x = self.norm1(x + self.attention(x, keys, relative))
        return self.norm2(x + self.feed_forward(x))

    def feed_forward(self, x):
        """Linear, GELU, linear."""
        return self.ffn2(F.gelu(self.ffn1(x)))
