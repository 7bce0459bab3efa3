"""A unidirectional LSTM in 16 bits for training on a GPU.

For one layer in float16, a batch of 8 n and sizes that are multiples of 128 (1024 at most), cuDNN has a
kernel that stays on the GPU for all frames. Otherwise every frame takes several short ones.
"""

import torch
from torch import nn

BATCH = 8  # the kernel takes multiples of it


def half_lstm(lstm: nn.LSTM, x: torch.Tensor) -> torch.Tensor:
    """Outputs of all layers of `lstm`, one after another, in float16.

    Args:
        lstm: unidirectional, with biases, ``batch_first``, without projection or dropout.
        x: (B, N, D), float32.

    Returns:
        (B, N, H), float32: as ``lstm(x)[0]`` with a relative error of some thousandths.
    """
    batch = len(x)
    x = nn.functional.pad(x, (0, 0, 0, 0, 0, -batch % BATCH))
    for weights in lstm.all_weights:
        x = _HalfLayer.apply(x, *weights)
    return x[:batch]


class _HalfLayer(torch.autograd.Function):
    """One layer. Its gradient is scaled to a maximum of 1 in between: float16 ends at 6e-8."""

    @staticmethod
    def forward(ctx, x, *weights):
        with torch.enable_grad(), torch.autocast(x.device.type, enabled=False):
            inputs = [t.detach().half().requires_grad_() for t in (x, *weights)]
            zeros = inputs[0].new_zeros(1, len(x), weights[1].shape[1])
            y = torch.lstm(inputs[0], (zeros, zeros), inputs[1:], True, 1, 0.0, True, False, True)[0]
        ctx.inputs, ctx.output = inputs, y
        return y.detach().to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        peak = grad.abs().amax().clamp_min(torch.finfo(grad.dtype).tiny)
        found = torch.autograd.grad(ctx.output, ctx.inputs, (grad / peak).half())
        return tuple(g.to(grad.dtype) * peak for g in found)
