"""A transformer layer on a GPU in 16 bits as one step of autograd.

With a node of autograd for each short kernel, the host needs longer to launch them than the GPU to compute
them.  As the weights are frozen, few activations are kept and the backward pass is short.  Pre-norm layers
are those of large models, whose kernels are long enough without it.
"""

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from espnet_posinv.ssl.packing import Packing
from espnet_posinv.ssl.products import linear, prepared

if TYPE_CHECKING:
    from espnet_posinv.ssl.transformer import Layer

aten = torch.ops.aten


def attend(q, k, v, frames: Packing):
    """Flash attention within each packed utterance, (N, H, D) each; also what its backward needs.

    PyTorch's own operator: the public ``varlen_attn`` adds too much time on the host.
    """
    ends, width = frames.starts, frames.width
    return aten._flash_attention_forward(q, k, v, ends, ends, width, width, 0.0, False, False)[:4]


def attend_back(grad, q, k, v, kept, frames: Packing):
    """Gradients of q, k and v."""
    (y, sums, seed, offset), ends, width = kept, frames.starts, frames.width
    return aten._flash_attention_backward(
        grad, q, k, v, y, sums, ends, ends, width, width, 0.0, False, seed, offset
    )


def usable(layer: "Layer", x: torch.Tensor) -> bool:
    """Whether `FusedLayer` is for this layer and these frames (N, D), which flash attention takes."""
    return (
        not layer.pre_norm
        and x.is_cuda
        and x.dtype == torch.bfloat16
        and x.shape[1] // layer.attention.heads % 8 == 0
        and torch.cuda.get_device_capability(x.device) >= (8, 0)
    )


class FusedLayer(torch.autograd.Function):
    """A post-norm `Layer`, x (N, D) -> (N, D)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layer: "Layer", frames: Packing):
        attention, kept = layer.attention, []

        def norm(y, module):
            weight, bias = prepared(module.weight, y.dtype), prepared(module.bias, y.dtype)
            out, *sums = aten.native_layer_norm(y, module.normalized_shape, weight, bias, module.eps)
            kept.extend([y, *sums])
            return out

        qkv = linear(x, attention.qkv)
        q, k, v = qkv.view(len(x), 3, attention.heads, -1).unbind(1)
        attended = attend(q, k, v, frames)
        z = norm(linear(attended[0].view(x.shape), attention.out).add_(x), layer.norm1)
        f = linear(z, layer.ffn1)
        y = norm(linear(F.gelu(f), layer.ffn2).add_(z), layer.norm2)
        ctx.layer, ctx.frames = layer, frames
        ctx.save_for_backward(qkv, f, *kept, *attended)
        return y

    @staticmethod
    def backward(ctx: Any, *grads):
        layer, attention, dy = ctx.layer, ctx.layer.attention, grads[0].contiguous()
        qkv, f, *rest = ctx.saved_tensors
        first, second, attended = rest[:3], rest[3:6], rest[6:]

        def product(g, linear):
            return g @ prepared(linear.weight, g.dtype)

        def norm(g, kept, module):
            weight, bias = prepared(module.weight, g.dtype), prepared(module.bias, g.dtype)
            y, *sums = kept
            sizes = module.normalized_shape
            return aten.native_layer_norm_backward(g, y, sizes, *sums, weight, bias, [True, False, False])[0]

        dy = norm(dy, second, layer.norm2)
        dz = product(aten.gelu_backward(product(dy, layer.ffn2), f), layer.ffn1).add_(dy)
        dz = norm(dz, first, layer.norm1)
        q, k, v = qkv.view(len(f), 3, attention.heads, -1).unbind(1)
        da = product(dz, attention.out).view(attended[0].shape)
        dqkv = torch.stack(attend_back(da, q, k, v, attended, ctx.frames), 1).view(qkv.shape)
        return product(dqkv, attention.qkv).add_(dz), None, None
