"""The transformer layer that the encoders share, over frames of utterances packed one behind another."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from espnet_posinv.ssl.packing import Packing
from espnet_posinv.ssl.products import layer_norm, linear, prepared

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # torch < 2.10
    varlen_attn = None


class SelfAttention(nn.Module):
    """Multi-head self-attention through PyTorch's fused kernels (flash attention where there is one).

    Utterances of one length are a batch.  Others go to flash attention as they are packed, one by one on a
    CPU, and where a GPU has no kernel for that (float32, WavLM's bias) as a batch with masked keys.
    """

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor, frames: Packing, relative: torch.Tensor | None = None):
        """x (N, D), relative (H, W, W) or None -> (N, D)."""
        qkv = linear(x, self.qkv)
        if not frames.equal and relative is None and self._has_varlen(qkv):
            q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).unbind(1)
            y = varlen_attn(q, k, v, frames.starts, frames.starts, frames.width, frames.width).flatten(1)
        elif not frames.equal and not x.is_cuda:
            parts = zip(x.split(frames.lengths), qkv.split(frames.lengths), strict=True)
            y = torch.cat([self._attend(p[None], q[None], None, relative)[0] for p, q in parts])
        else:
            keys = None if frames.equal else frames.mask[:, None, None]
            y = frames.pack(self._attend(frames.unpack(x), frames.unpack(qkv), keys, relative))
        return linear(y, self.out)

    def _has_varlen(self, qkv):
        sixteen_bits = qkv.dtype in (torch.bfloat16, torch.float16)
        return (
            varlen_attn is not None
            and qkv.is_cuda
            and sixteen_bits
            and qkv.shape[1] // (3 * self.heads) % 8 == 0
            and torch.cuda.get_device_capability(qkv.device) >= (8, 0)
        )

    def _attend(self, x, qkv, keys, relative):
        """x (B, W, D), qkv (B, W, 3 D), keys (B, 1, 1, W) bool or None -> (B, W, D)."""
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias(x, keys, relative))
        return y.transpose(1, 2).flatten(2)

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
        """Gate (B, H, W, 1) times the position bias (H, W, W); -inf at masked keys."""
        per_head = x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        a, b = linear(per_head, self.gate).unflatten(-1, (2, 4)).sum(-1).sigmoid().chunk(2, dim=-1)
        gate = a * (b * prepared(self.gate_scale, x.dtype) - 1.0) + 2.0
        bias = gate * relative[:, : x.shape[1], : x.shape[1]].to(x.dtype)
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

    def forward(self, x: torch.Tensor, frames: Packing, relative: torch.Tensor | None = None):
        """x (N, D), relative (H, W, W) or None -> (N, D)."""
        if self.pre_norm:
            x = x + self.attention(layer_norm(x, self.norm1), frames, relative)
            return x + self.feed_forward(layer_norm(x, self.norm2))
        x = layer_norm(x + self.attention(x, frames, relative), self.norm1)
        return layer_norm(x + self.feed_forward(x), self.norm2)

    def feed_forward(self, x):
        """Linear, GELU, linear."""
        return linear(F.gelu(linear(x, self.ffn1)), self.ffn2)
