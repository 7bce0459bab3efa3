"""A transformer layer on a GPU in 16 bits as one step of autograd.

Its kernels are so short that a host, which makes a node of autograd for every one of them, takes longer to
ask for them than the GPU to compute them.  The weights being frozen, little is kept and the way back is short.
"""

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from espnet_posinv.ssl.packing import Packing
from espnet_posinv.ssl.products import prepared

if TYPE_CHECKING:
    from espnet_posinv.ssl.transformer import Layer

aten = torch.ops.aten


def attend(q, k, v, frames: Packing):
    """Flash attention within each packed utterance, (N, H, D) each; the result and what its way back needs.

    PyTorch's own operator: its public form ``varlen_attn`` is behind more Python than there is time for.
    """
    ends, width = frames.starts, frames.width
    return aten._flash_attention_forward(q, k, v, ends, ends, width, width, 0.0, False, False)[:4]


def attend_back(grad, q, k, v, kept, frames: Packing):
    """Gradients of q, k and v."""
    (y, sums, seed, offset), ends, width = kept, frames.starts, frames.width
    return aten._flash_attention_backward(
        grad, q, k, v, y, sums, ends, ends, width, width, 0.0, False, seed, offset
    )


def usable(x: torch.Tensor, heads: int) -> bool:
    """Whether there is flash attention for these frames (N, D)."""
    return (
        x.is_cuda
        and x.dtype == torch.bfloat16
        and x.shape[1] // heads % 8 == 0
        and torch.cuda.get_device_capability(x.device) >= (8, 0)
    )


class FusedLayer(torch.autograd.Function):
    """What a `Layer` without a position bias makes of x (N, D), as (N, D)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layer: "Layer", frames: Packing):
        def product(y, linear):
            return F.linear(y, prepared(linear.weight, y.dtype), prepared(linear.bias, y.dtype))

        def norm(y, module):
            weight, bias = prepared(module.weight, y.dtype), prepared(module.bias, y.dtype)
            return aten.native_layer_norm(y, module.normalized_shape, weight, bias, module.eps)

        attention, first = layer.attention, (x, None, None)
        h = x
        if layer.pre_norm:
            h, *sums = norm(x, layer.norm1)
            first = x, *sums
        qkv = product(h, attention.qkv)
        kept = attend(*qkv.view(len(x), 3, attention.heads, -1).unbind(1), frames)
        a = product(kept[0].view(x.shape), attention.out).add_(x)
        z, *sums = norm(a, layer.norm2 if layer.pre_norm else layer.norm1)
        middle = a, *sums
        f = product(z, layer.ffn1)
        y = product(F.gelu(f), layer.ffn2).add_(a if layer.pre_norm else z)
        last = y, None, None
        if not layer.pre_norm:
            out, *sums = norm(y, layer.norm2)
            last, y = (y, *sums), out
        ctx.layer, ctx.frames = layer, frames
        ctx.save_for_backward(qkv, *kept, f, *middle, *(first if layer.pre_norm else last))
        return y

    @staticmethod
    def backward(ctx: Any, *grads):
        layer, grad = ctx.layer, grads[0].contiguous()
        qkv, *kept, f, a, a_mean, a_scale, e, e_mean, e_scale = ctx.saved_tensors

        def product(g, linear):
            return g @ prepared(linear.weight, g.dtype)

        def norm(g, y, mean, scale, module):
            weight, bias = prepared(module.weight, g.dtype), prepared(module.bias, g.dtype)
            mask = [True, False, False]
            return aten.native_layer_norm_backward(
                g, y, module.normalized_shape, mean, scale, weight, bias, mask
            )[0]

        pre, attention = layer.pre_norm, layer.attention
        dy = grad if pre else norm(grad, e, e_mean, e_scale, layer.norm2)
        dz = product(aten.gelu_backward(product(dy, layer.ffn2), f), layer.ffn1)
        if pre:
            da = norm(dz, a, a_mean, a_scale, layer.norm2).add_(dy)
        else:
            da = norm(dz.add_(dy), a, a_mean, a_scale, layer.norm1)
        parts = qkv.view(len(a), 3, attention.heads, -1).unbind(1)
        do = product(da, attention.out).view(kept[0].shape)
        dh = product(torch.stack(attend_back(do, *parts, kept, ctx.frames), 1).view(qkv.shape), attention.qkv)
        dx = norm(dh, e, e_mean, e_scale, layer.norm1) if pre else dh
        return dx.add_(da), None, None
