"""A transformer layer on a GPU in 16 bits as one step of autograd.

With a node of autograd for each short kernel, the host needs longer to launch them than the GPU to compute
them.  As the weights are frozen, few activations are kept and the backward pass is short.  Pre-norm layers
are those of large models, whose kernels are long enough without it.
"""

import functools
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from espnet_posinv.ssl.packing import Packing
from espnet_posinv.ssl.products import linear

if TYPE_CHECKING:
    from espnet_posinv.ssl.transformer import Layer

aten = torch.ops.aten
capability = functools.cache(torch.cuda.get_device_capability)


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
        and capability(x.device) >= (8, 0)
    )


class FusedLayer(torch.autograd.Function):
    """A post-norm `Layer`, x (N, D) -> (N, D)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layer: "Layer", frames: Packing):
        attention, kept = layer.attention, []

        def norm(y, module):
            sizes, weight, bias = module.normalized_shape, module.weight, module.bias
            out, *sums = aten.native_layer_norm(y, sizes, weight, bias, module.eps)
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

        def norm(g, kept, module):
            (y, *sums), sizes, wanted = kept, module.normalized_shape, [True, False, False]
            back = aten.native_layer_norm_backward
            return back(g, y, sizes, *sums, module.weight, module.bias, wanted)[0]

        dy = norm(dy, second, layer.norm2)
        dz = (aten.gelu_backward(dy @ layer.ffn2.weight, f) @ layer.ffn1.weight).add_(dy)
        dz = norm(dz, first, layer.norm1)
        q, k, v = qkv.view(len(f), 3, attention.heads, -1).unbind(1)
        da = (dz @ attention.out.weight).view(attended[0].shape)
        dqkv = torch.stack(attend_back(da, q, k, v, attended, ctx.frames), 1).view(qkv.shape)
        return (dqkv @ attention.qkv.weight).add_(dz), None, None
