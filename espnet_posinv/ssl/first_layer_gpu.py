"""The first layer on a GPU: one kernel each way, its channels in memory once.

Ten products and a GELU are cheaper than reading what they give, so the backward pass computes them again.
"""

import functools
import logging
from typing import Any

import torch

from espnet_posinv.ssl.packing import Packing

try:
    import triton
    import triton.language as tl
except ImportError:  # torch for a CPU comes without it
    triton = tl = None  # type: ignore[assignment]

COLUMNS = 16  # taps and a one, for the gradient of the offset
CHUNK = 8  # blocks whose gradient of the kernel is summed in registers
CHANNELS = 128

if triton is not None:

    @triton.jit
    def _outputs(wav, weight, offset, owner, row, c, samples, K: tl.constexpr, S: tl.constexpr, C: tl.constexpr):
        at = row.to(tl.int64) * S
        y = tl.zeros((row.shape[0], c.shape[0]), tl.float32)
        y += tl.load(offset + owner * C + c, mask=c < C, other=0.0)[None, :]
        for k in tl.static_range(K):
            x = tl.load(wav + at + k, mask=at + k < samples, other=0.0)
            y += x[:, None] * tl.load(weight + (owner * K + k) * C + c, mask=c < C, other=0.0)[None, :]
        return y

    @triton.jit
    def _normal(y):
        """Density of the normal distribution times the root of 2 pi, and its integral up to y, within 1e-7.

        Abramowitz and Stegun 7.1.26: an exponential, which the density needs too, and a polynomial.
        """
        density = tl.exp(-0.5 * y * y)
        t = 1.0 / (1.0 + 0.3275911 * 0.7071067811865476 * tl.abs(y))
        tail = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
        tail *= 0.5 * density
        return density, tl.where(y < 0.0, tail, 1.0 - tail)

    @triton.jit
    def _forward(
        wav, weight, offset, owners, out, samples,
        K: tl.constexpr, S: tl.constexpr, C: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
    ):  # fmt: skip
        block = tl.program_id(0)
        row = block * ROWS + tl.arange(0, ROWS)
        c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
        y = _outputs(wav, weight, offset, tl.load(owners + block), row, c, samples, K, S, C)
        _, integral = _normal(y)
        y *= integral
        at = out + row.to(tl.int64)[:, None] * C + c[None, :]
        tl.store(at, y.to(out.dtype.element_ty), mask=c[None, :] < C)

    @triton.jit
    def _backward(
        grad, wav, weight, offset, owners, firsts, counts, d_taps, d_weight, samples, rows,
        K: tl.constexpr, S: tl.constexpr, C: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
        COLUMNS: tl.constexpr, TYPE: tl.constexpr,
    ):  # fmt: skip
        chunk, part = tl.program_id(0), tl.program_id(1)
        owner, first = tl.load(owners + chunk), tl.load(firsts + chunk)
        c = part * CHANNELS + tl.arange(0, CHANNELS)
        k = tl.arange(0, COLUMNS)
        kernel = tl.load(
            weight + (owner * K + k[None, :]) * C + c[:, None], mask=(k[None, :] < K) & (c[:, None] < C), other=0.0
        ).to(TYPE)
        total = tl.zeros((COLUMNS, CHANNELS), tl.float32)
        for block in range(first, first + tl.load(counts + chunk)):
            row = block * ROWS + tl.arange(0, ROWS)
            y = _outputs(wav, weight, offset, owner, row, c, samples, K, S, C)
            at = grad + row.to(tl.int64)[:, None] * C + c[None, :]
            dy = tl.load(at, mask=c[None, :] < C, other=0.0).to(tl.float32)
            density, integral = _normal(y)
            dy *= integral + y * 0.3989422804014327 * density
            dy = dy.to(TYPE)
            at = row.to(tl.int64)[:, None] * S + k[None, :]
            x = tl.load(wav + at, mask=(at < samples) & (k[None, :] < K), other=0.0)
            x = tl.where(k[None, :] == K, 1.0, x).to(TYPE)
            total += tl.dot(tl.trans(x), dy, input_precision="tf32x3")
            dx = tl.dot(dy, kernel, input_precision="tf32x3")
            tl.store(d_taps + (part * rows + row.to(tl.int64)[:, None]) * COLUMNS + k[None, :], dx)
        at = (chunk * COLUMNS + k[:, None]) * C + c[None, :]
        tl.store(d_weight + at, total, mask=c[None, :] < C)


class FusedFirstLayer(torch.autograd.Function):
    """``gelu_of_products`` of samples ``(S,)``, with kernel (B, K, C) and offset (B, C), as (S / stride, C)."""

    @staticmethod
    def forward(ctx: Any, row, kernel, offset, blocks: Packing, stride: int, dtype: torch.dtype):
        row, kernel, offset = row.contiguous(), kernel.contiguous(), offset.contiguous()
        ctx.save_for_backward(row, kernel, offset)
        ctx.blocks, ctx.stride = blocks, stride
        out = row.new_empty(len(row) // stride, kernel.shape[2], dtype=dtype)
        sizes = _sizes(kernel, out, blocks, stride)
        grid = blocks.total, triton.cdiv(kernel.shape[2], CHANNELS)
        _forward[grid](row, kernel, offset, blocks.owners, out, len(row), **sizes, num_warps=8)
        return out

    @staticmethod
    def backward(ctx: Any, *grads):
        grad, (row, kernel, offset) = grads[0].contiguous(), ctx.saved_tensors
        blocks, stride, size = ctx.blocks, ctx.stride, kernel.shape[1]
        chunks = Packing([-(-n // CHUNK) for n in blocks.lengths], row.device)
        within = chunks.positions * CHUNK
        firsts = blocks.starts[chunks.owners] + within
        counts = (blocks.starts.diff()[chunks.owners] - within).clamp(max=CHUNK)
        parts = triton.cdiv(kernel.shape[2], CHANNELS)
        d_taps = row.new_empty(parts, len(grad), COLUMNS)
        d_kernel = row.new_empty(chunks.total, COLUMNS, kernel.shape[2])
        _backward[chunks.total, parts](
            grad, row, kernel, offset, chunks.owners, firsts, counts, d_taps, d_kernel, len(row), len(grad),
            **_sizes(kernel, grad, blocks, stride), COLUMNS=COLUMNS, num_warps=8,
            TYPE=tl.bfloat16 if grad.dtype == torch.bfloat16 else tl.float32,
        )  # fmt: skip
        d_kernel = chunks.sums(d_kernel).float()
        return _added(d_taps.sum(0)[:, :size], stride), d_kernel[:, :size], d_kernel[:, size], None, None, None


def _sizes(kernel, out, blocks, stride):
    _, size, channels = kernel.shape
    return {"K": size, "S": stride, "C": channels, "ROWS": len(out) // blocks.total, "CHANNELS": CHANNELS}


def _added(d_taps: torch.Tensor, stride: int) -> torch.Tensor:
    """Gradients (N, K) of what each output sees, added up on the samples (N * stride,)."""
    d_row = d_taps.new_zeros(len(d_taps), stride)
    for shift, part in enumerate(d_taps.split(stride, 1)):
        d_row[shift:, : part.shape[1]] += part[: len(part) - shift]
    return d_row.flatten()


@functools.cache
def usable(device: torch.device, size: int, rows: int) -> bool:
    """Whether the kernels run here: Triton compiles for the card, which needs a C compiler on the host."""
    if triton is None or device.type != "cuda" or rows < 16 or rows & (rows - 1) or size >= COLUMNS:
        return False
    try:
        with torch.enable_grad():
            row = torch.zeros(rows, device=device, requires_grad=True)
            kernel, offset = torch.ones(1, size, 8, device=device), torch.ones(1, 8, device=device)
            FusedFirstLayer.apply(row, kernel, offset, Packing([1], device), 1, torch.float32).sum().backward()
        return bool(row.grad is not None and row.grad.isfinite().all())
    except Exception as error:  # what a compiler or a driver raises
        logging.warning(f"the encoder's first layer runs without its kernel, which cannot be compiled: {error}")
        return False
