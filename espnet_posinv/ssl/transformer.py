"""The transformer layer of all encoders, over packed utterances."""

import functools
import math

import torch
import torch.nn.functional as F
from torch import nn

from espnet_posinv.ssl.packing import Packing
from espnet_posinv.ssl.products import linear

capability = functools.cache(torch.cuda.get_device_capability)


def packed_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, frames: Packing) -> torch.Tensor:
    """Attention within each packed utterance on a GPU, (N, H, D) each -> (N, H, D).

    In bfloat16 flash attention, else PyTorch's memory-efficient kernel; its public interface takes no packed
    utterances, or adds too much time on the host.
    """
    ends, width, aten = frames.starts, frames.width, torch.ops.aten
    if q.dtype == torch.bfloat16 and capability(q.device) >= (8, 0):
        return aten._flash_attention_forward(q, k, v, ends, ends, width, width, 0.0, False, False)[0]
    efficient = aten._efficient_attention_forward
    return efficient(q[None], k[None], v[None], None, ends, ends, width, width, 0.0, 0, True)[0][0]


class SelfAttention(nn.Module):
    """Multi-head self-attention through PyTorch's fused kernels.

    On a GPU packed or, with a bias, which that kernel does not take, as a padded batch with masked keys.  On
    a CPU, utterances of equal length are one batch, others are computed one by one.
    """

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor, frames: Packing, relative: torch.Tensor | None = None):
        """x (N, D), relative (H, W, W) or None -> (N, D)."""
        qkv = linear(x, self.qkv)
        if x.is_cuda and relative is None and x.shape[1] // self.heads % 8 == 0:
            q, k, v = qkv.view(len(x), 3, self.heads, -1).unbind(1)
            y = packed_attention(q, k, v, frames).flatten(1)
        elif frames.equal or x.is_cuda:
            keys = None if frames.equal else frames.mask[:, None, None]
            y = frames.pack(self._attend(frames.unpack(x), frames.unpack(qkv), keys, relative))
        else:
            each = zip(x.split(frames.lengths), qkv.split(frames.lengths), strict=True)
            y = torch.cat([self._attend(p[None], q[None], None, relative)[0] for p, q in each])
        return linear(y, self.out)

    def _attend(self, x, qkv, keys, relative):
        """x (B, W, D), qkv (B, W, 3 D), keys (B, 1, 1, W) bool or None -> (B, W, D)."""
        parts = qkv.view(*qkv.shape[:2], 3, self.heads, -1).unbind(2)
        q, k, v = (part.transpose(1, 2) for part in parts)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias(x, keys, relative))
        return y.transpose(1, 2).flatten(2)

    def bias(self, x, keys, relative):
        """What is added to the scores: here only the mask."""
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
        gate = a * (b * self.gate_scale - 1.0) + 2.0
        bias = gate * relative[:, : x.shape[1], : x.shape[1]].to(x.dtype)
        return bias if keys is None else bias.masked_fill(~keys, -math.inf)


class RelativePositions(nn.Module):
    """One learned value per head and bucket of the distance between key and query (T5's buckets).

    Half of the buckets are for earlier keys, half for later ones. The first half of each are single
    distances; the width of the others grows logarithmically up to ``max_distance``.
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
            x = x + self.attention(self.norm1(x), frames, relative)
            return x + self.feed_forward(self.norm2(x))
        x = self.norm1(x + self.attention(x, frames, relative))
        return self.norm2(x + self.feed_forward(x))

    def feed_forward(self, x):
        """Linear, GELU, linear."""
        return linear(F.gelu(linear(x, self.ffn1)), self.ffn2)
