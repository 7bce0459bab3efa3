"""The networks of several NSNet2s as one, with a stack of each weight.

A recurrence takes thousands of small kernels. Their number limits a GPU, not their size: one step of all
models costs little more than one step of one.
"""

from collections.abc import Callable

import torch
from torch import nn

from espnet_posinv.enh.nsnet2 import GAIN_FLOOR, NSNet2Separator


class Recurrence(torch.autograd.Function):
    r"""A GRU layer of M models, as torch.nn.GRU defines it, B sequences each.

    .. math::  (r, z) = \sigma(a_{rz} + U_{rz} h + b_{rz}), \quad n = \tanh(a_n + r \odot (U_n h + b_n)),
               \quad h' = (1 - z) \odot n + z \odot h

    Args of apply:
        inputs: a of each step, (N, M B, 3 H).
        weight: U, (M, 3 H, H).
        bias: b, (M, 1, 3 H).

    Returns:
        h' of each step, (N, M B, H).
    """

    @staticmethod
    def forward(ctx, inputs, weight, bias):
        models, _, size = weight.shape
        cell, ctx.cell_backward = _cells(inputs.is_cuda)
        h = inputs.new_zeros(inputs.shape[1], size)
        outputs, ctx.kept = [], []
        for a in inputs:
            recurrent = torch.baddbmm(bias, h.view(models, -1, size), weight.mT).view(-1, 3 * size)
            h, kept = cell(a, recurrent, h)
            outputs.append(h)
            ctx.kept.append(kept)
        outputs = torch.stack(outputs)
        ctx.save_for_backward(weight, outputs)
        return outputs

    @staticmethod
    def backward(ctx, grad):
        weight, outputs = ctx.saved_tensors
        models, _, size = weight.shape
        before = torch.zeros_like(outputs[0])  # gradient with regard to what entered the step
        d_inputs, d_recurrent = [], []
        for step in reversed(range(len(grad))):
            a, b, before = ctx.cell_backward(grad[step] + before, ctx.kept[step])
            d_inputs.append(a)
            d_recurrent.append(b)
            before = torch.baddbmm(before.view(models, -1, size), b.view(models, -1, 3 * size), weight)
            before = before.view(-1, size)
        d_inputs, d_recurrent = torch.stack(d_inputs[::-1]), torch.stack(d_recurrent[::-1])
        entered = torch.cat([torch.zeros_like(outputs[:1]), outputs[:-1]])
        by_model = _by_model(d_recurrent, models)
        d_weight = torch.bmm(by_model.mT, _by_model(entered, models))
        return d_inputs, d_weight, by_model.sum(1, keepdim=True)


def _by_model(x: torch.Tensor, models: int) -> torch.Tensor:
    """(N, M B, D) -> (M, N B, D)."""
    steps, _, size = x.shape
    return x.view(steps, models, -1, size).transpose(0, 1).reshape(models, -1, size)


def _cells(cuda: bool) -> tuple[Callable, Callable]:
    """One step and its gradient; on a GPU PyTorch's own kernels, as in torch.nn.GRUCell."""
    if not cuda:
        return _cell, _cell_backward
    forward, backward = torch.ops.aten._thnn_fused_gru_cell, torch.ops.aten._thnn_fused_gru_cell_backward
    return (lambda a, b, h: forward(a, b, h)), (lambda grad, kept: backward(grad, kept, False)[:3])


def _cell(a, b, h):
    size = h.shape[1]
    r, z = torch.sigmoid(a[:, : 2 * size] + b[:, : 2 * size]).chunk(2, 1)
    n = torch.tanh(a[:, 2 * size :] + r * b[:, 2 * size :])
    return n + z * (h - n), (r, z, n, h, b[:, 2 * size :])


def _cell_backward(grad, kept):
    r, z, n, h, b = kept
    d_n = grad * (1 - z) * (1 - n * n)
    d_r, d_z = d_n * b * r * (1 - r), grad * (h - n) * z * (1 - z)
    return torch.cat([d_r, d_z, d_n], 1), torch.cat([d_r, d_z, d_n * r], 1), grad * z


class Gains(nn.Module):
    """Networks of M models: log power (M, B, N, bins) to gains (M B, N, bins)."""

    def __init__(self, start: NSNet2Separator, models: int):
        super().__init__()
        self.names = [name for name, _ in start.named_parameters()]
        stacks = (p.detach().expand(models, *p.shape).clone() for p in start.parameters())
        self.weights = nn.ParameterList(nn.Parameter(stack) for stack in stacks)

    def forward(self, log_power):
        models, batch, steps, _ = log_power.shape
        w = dict(zip(self.names, self.weights, strict=True))

        def linear(x, weight, bias):
            return torch.baddbmm(w[bias][:, None], x, w[weight].mT)

        x = log_power.transpose(1, 2).reshape(models, steps * batch, -1)
        x = torch.relu(linear(x, "linear_in.weight", "linear_in.bias"))
        for layer in "01":
            a = linear(x, f"gru.weight_ih_l{layer}", f"gru.bias_ih_l{layer}")
            a = a.view(models, steps, batch, -1).transpose(0, 1).reshape(steps, models * batch, -1)
            recurrent = w[f"gru.weight_hh_l{layer}"], w[f"gru.bias_hh_l{layer}"][:, None]
            x = _by_model(Recurrence.apply(a, *recurrent), models)
        for name in ("linear1", "linear2"):
            x = torch.relu(linear(x, f"{name}.weight", f"{name}.bias"))
        x = torch.sigmoid(linear(x, "linear_out.weight", "linear_out.bias"))
        return x.view(models, steps, batch, -1).transpose(1, 2).reshape(models * batch, steps, -1)


class Stacked:
    """Several NSNet2s on one device, each with its part of the batch.

    Args:
        start: what all begin with.
        models: how many.
        batch: utterances of each.
        length: samples of an utterance, a multiple of the hop.
        device: cpu or cuda.
    """

    def __init__(self, start: NSNet2Separator, models: int, batch: int, length: int, device: str):
        self.shared, self.models, self.batch = start.to(device), models, batch
        self.network = Gains(self.shared, models)
        self.gains: Callable = self.network
        if device.startswith("cuda"):  # recorded once, so that the host need not name each kernel
            shape = (models, batch, length // start.hop + 1, start.n_fft // 2 + 1)
            before = torch.get_float32_matmul_precision()
            torch.set_float32_matmul_precision("high")  # TF32, as in cuDNN's GRU
            self.gains = torch.cuda.make_graphed_callables(self.network, (torch.randn(shape, device=device),))
            torch.set_float32_matmul_precision(before)

    def __call__(self, noisy: torch.Tensor) -> torch.Tensor:
        """Enhanced (M B, T) of noisy (K B, T): the models take its K parts in turn."""
        shared = self.shared
        spectrum = shared.stft(noisy)
        parts = shared.log_power(spectrum).view(-1, self.batch, spectrum.shape[2], spectrum.shape[1])
        times = self.models // len(parts)
        gain = self.gains(parts.repeat(times, 1, 1, 1)).clamp_min(GAIN_FLOOR).transpose(1, 2)
        return torch.istft(
            gain * spectrum.repeat(times, 1, 1),
            shared.n_fft,
            shared.hop,
            window=shared.window,
            length=noisy.shape[1],
        )

    def parameters(self) -> list[nn.Parameter]:
        """A stack of each weight, (M, ...)."""
        return list(self.network.weights)

    def clip(self, limit: float) -> None:
        """Clip each model's gradient to a norm of `limit`."""
        grads = [p.grad for p in self.parameters()]
        norms = torch.stack([g.flatten(1).norm(dim=1) for g in grads]).norm(dim=0)
        scale = (limit / (norms + 1e-6)).clamp_max(1.0)
        for g in grads:
            g.mul_(scale.view(-1, *[1] * (g.ndim - 1)))

    def state(self, model: int) -> dict[str, torch.Tensor]:
        """The weights of one model."""
        named = zip(self.network.names, self.parameters(), strict=True)
        return {name: p.detach()[model].clone() for name, p in named}
