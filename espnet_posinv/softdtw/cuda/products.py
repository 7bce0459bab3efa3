"""The products of `products.py` on tensor cores, with the accuracy of float32.

Tensor cores multiply numbers of 16 bits, 16 times as fast as a card multiplies those of 32.  A float32 number
a has 24 bits.  With a power of two s that brings the largest number of a sequence near to 2^14,

    s a = h + l + r,   h = fp16(s a),   l = fp16(s a - h),   |r| <= max(2^-23 |s a|, 2^-25),

since fp16 has 11 bits down to 2^-14 and steps of 2^-24 below: r is at most 2^-39 of the largest number, or
about a rounding of float32.  Of (h + l)(h' + l') the last term, 2^-22 of the first, is left out; the other
three are summed in float32 (Ootomo and Yokota, arXiv 2203.03341).

The pieces are written to memory once, padded with zeros to whole tiles: the products need no masks, and tiles
are loaded without passing through registers.

A tensor core truncates its sums, which would bias a long product: it sums one step only, and the steps are
added with rounding.  So errors are smaller than those of products in float32 (bench/NOTES.md).

The kernels are written in Triton, which is part of torch's CUDA wheels; it launches on torch's stream.
"""

from functools import cache

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE = 128  # rows and columns of a product's tile; pieces are padded to multiples
ROWS = 16  # rows that one program splits


def frame_factor(x: Tensor, cosine: bool) -> tuple[Tensor, ...]:
    """Pieces (2, B, N', D'), squared norms (B, N) and the largest (B,) of frames (B, N, D)."""
    x = x.contiguous()
    batch, n, width = x.shape
    norms = torch.full((batch, n), 0.5, device=x.device)
    if not cosine:
        _norms[(triton.cdiv(batch * n, ROWS),)](x, norms, batch * n, width, ROWS)
    largest = norms.amax(1)
    return _pieces(x, largest, norms, norms, sums=False), norms, largest


def frame_costs(x: tuple[Tensor, ...], y: tuple[Tensor, ...], cosine: bool) -> Tensor:
    """Costs (B, N, M) of two factors."""
    (x, x_norms, x_largest), (y, y_norms, y_largest) = x, y
    (batch, n), m = x_norms.shape, y_norms.shape[1]
    costs = x_norms.new_empty(batch, n, m)
    grid = (triton.cdiv(n, TILE) * triton.cdiv(m, TILE), batch)
    _costs[grid](
        *(x, y, x_norms, y_norms, x_largest, y_largest, costs),
        n=n,
        m=m,
        padded_n=x.shape[2],
        padded_m=y.shape[2],
        padded_width=y.shape[3],
        alpha=-1.0 if cosine else -2.0,
        TILE=TILE,
        **schedule(_generation(x.device)),
    )
    return costs


def alignment_factor(E: Tensor, seed: Tensor) -> tuple[Tensor, ...]:
    """Pieces of seed (B,) times alignments, E (B, N, M); sums of its rows and of its columns; seed^2."""
    batch, n, m = E.shape
    rows = E.new_empty(batch, 1, n)
    columns = E.new_empty(batch, triton.cdiv(n, ROWS), m)
    largest = seed.float().square()
    return _pieces(E, largest, rows, columns, sums=True), rows, columns.sum(1, keepdim=True), largest


def frame_gradient(parts: list[tuple], x: Tensor, cosine: bool) -> Tensor:
    """sum_j E[i,j] d cost(x_i, y_j) / dx_i, summed over parts (E, transposed, y), as in `products.py`."""
    x = x.contiguous()
    batch, n, width = x.shape
    grid = (triton.cdiv(n, TILE) * triton.cdiv(width, TILE), batch)
    grad = None
    for part, ((E, *sums, largest), transposed, (y, _, y_largest)) in enumerate(parts, 1):
        other = grad
        grad = torch.empty_like(x, dtype=x.dtype if part == len(parts) else torch.float32)
        _gradient[grid](
            *(E, y, x, other, grad, sums[transposed], largest, y_largest),
            n=n,
            width=width,
            padded_rows=E.shape[2],
            padded_columns=E.shape[3],
            padded_m=y.shape[2],
            padded_width=y.shape[3],
            own=0.0 if cosine else 2.0,
            alpha=-1.0 if cosine else -2.0,
            TRANSPOSED=transposed,
            TILE=TILE,
            **schedule(_generation(x.device)),
        )
    return grad


@cache
def _generation(device: torch.device) -> int:
    return torch.cuda.get_device_capability(device)[0] if device.type == "cuda" else 0


def schedule(generation: int) -> dict[str, int]:
    """Launch options by compute capability; 9 and 10 have shared memory for three steps of 64 (192 KiB)."""
    return {"STEP": 64 if generation in (9, 10) else 32, "num_warps": 8, "num_stages": 3}


def _pieces(a: Tensor, largest: Tensor, rows: Tensor, columns: Tensor, sums: bool) -> Tensor:
    batch, n, width = a.shape
    padded_n, padded_width = (triton.cdiv(size, TILE) * TILE for size in (n, width))
    parts = torch.empty(2, batch, padded_n, padded_width, dtype=torch.float16, device=a.device)
    _split[(padded_n // ROWS, batch)](
        *(a, largest, parts, rows, columns),
        n=n,
        width=width,
        padded_n=padded_n,
        padded_width=padded_width,
        SUMS=sums,
        ROWS=ROWS,
        COLUMNS=TILE,
    )
    return parts


@triton.jit(do_not_specialize=["rows"])
def _norms(x, norms, rows, width, ROWS: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    k = tl.arange(0, 128)[None, :]
    squares = tl.zeros((ROWS, 128), tl.float32)
    for start in range(0, width, 128):
        a = tl.load(x + i * width + start + k, mask=(i < rows) & (start + k < width), other=0.0)
        squares += a.to(tl.float32) * a.to(tl.float32)
    i = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    tl.store(norms + i, tl.sum(squares, 1), mask=i < rows)


@triton.jit
def _scale(largest):
    """s of numbers whose squares are at most `largest`: 2^14 / |a| < s, a power of two with |s a| <= 2^14."""
    exponent = largest.to(tl.int32, bitcast=True) >> 23  # largest < 2^(exponent - 126)
    return ((127 + 14 - ((exponent - 125) >> 1)) << 23).to(tl.float32, bitcast=True)


@triton.jit(do_not_specialize=["n"])
def _split(a, largest, parts, row_sums, column_sums, n, width, padded_n, padded_width, SUMS: tl.constexpr,
           ROWS: tl.constexpr, COLUMNS: tl.constexpr):  # fmt: skip
    """Pieces of ROWS rows of one pair, and with SUMS the sums of these rows and, over them, of columns."""
    block, pair = tl.program_id(0), tl.program_id(1).to(tl.int64)
    scale = _scale(tl.load(largest + pair))
    i = block * ROWS + tl.arange(0, ROWS)
    k = tl.arange(0, COLUMNS)
    low = tl.num_programs(1).to(tl.int64) * padded_n * padded_width
    a += (pair * n + i[:, None]) * width
    parts += (pair * padded_n + i[:, None]) * padded_width
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, padded_width, COLUMNS):
        at = start + k
        value = tl.load(a + at[None, :], mask=(i[:, None] < n) & (at[None, :] < width), other=0.0)
        value = value.to(tl.float32)
        if SUMS:
            total += value
            sums = column_sums + (pair * tl.cdiv(n, ROWS) + block) * width
            tl.store(sums + at, tl.sum(value, 0), mask=(at < width) & (block * ROWS < n))
        value *= scale
        high = value.to(tl.float16)
        tl.store(parts + at[None, :], high)
        tl.store(parts + low + at[None, :], (value - high.to(tl.float32)).to(tl.float16))
    if SUMS:
        tl.store(row_sums + pair * n + i, tl.sum(total, 1), mask=i < n)


@triton.jit
def _add_step(product, a, a_low, b, b_low):
    """product + a b of one step: the low pieces of a and b are `a_low` and `b_low` after the high ones."""
    a_high, b_high = tl.load(a), tl.load(b)
    step = tl.dot(tl.load(a + a_low), b_high)
    step = tl.dot(a_high, tl.load(b + b_low), step)
    return product + tl.dot(a_high, b_high, step)


@triton.jit(do_not_specialize=["n", "m"])
def _costs(x, y, x_norms, y_norms, x_largest, y_largest, costs, n, m, padded_n, padded_m, padded_width, alpha,
           TILE: tl.constexpr, STEP: tl.constexpr):  # fmt: skip
    """max(|x_i|^2 + |y_j|^2 + alpha x_i.y_j, 0) of one tile."""
    tile, pair = tl.program_id(0), tl.program_id(1).to(tl.int64)
    across = tl.cdiv(m, TILE)
    i = tile // across * TILE + tl.arange(0, TILE)
    j = tile % across * TILE + tl.arange(0, TILE)
    k = tl.arange(0, STEP)
    pairs = tl.num_programs(1).to(tl.int64)
    x_low, y_low = pairs * padded_n * padded_width, pairs * padded_m * padded_width
    x += (pair * padded_n + i[:, None]) * padded_width + k[None, :]
    y += (pair * padded_m + j[None, :]) * padded_width + k[:, None]
    product = tl.zeros((TILE, TILE), tl.float32)
    for _ in range(0, padded_width, STEP):
        product = _add_step(product, x, x_low, y, y_low)
        x += STEP
        y += STEP
    product *= 1 / _scale(tl.load(x_largest + pair))
    product *= 1 / _scale(tl.load(y_largest + pair))
    norms = tl.load(x_norms + pair * n + i, mask=i < n, other=0.0)[:, None]
    norms += tl.load(y_norms + pair * m + j, mask=j < m, other=0.0)[None, :]
    cost = tl.maximum(norms + alpha * product, 0.0, propagate_nan=tl.PropagateNan.ALL)
    tl.store(costs + (pair * n + i[:, None]) * m + j[None, :], cost, mask=(i[:, None] < n) & (j[None, :] < m))


@triton.jit(do_not_specialize=["n"])
def _gradient(E, y, x, other, grad, sums, E_largest, y_largest, n, width, padded_rows, padded_columns,
              padded_m, padded_width, own, alpha, TRANSPOSED: tl.constexpr, TILE: tl.constexpr,
              STEP: tl.constexpr):  # fmt: skip
    """own (sum_j E[i,j]) x_i + alpha sum_j E[i,j] y_j of one tile, added to `other` where there is one."""
    tile, pair = tl.program_id(0), tl.program_id(1).to(tl.int64)
    across = tl.cdiv(width, TILE)
    i = tile // across * TILE + tl.arange(0, TILE)
    d = tile % across * TILE + tl.arange(0, TILE)
    k = tl.arange(0, STEP)
    pairs = tl.num_programs(1).to(tl.int64)
    E_low, y_low = pairs * padded_rows * padded_columns, pairs * padded_m * padded_width
    E += pair * padded_rows * padded_columns
    if TRANSPOSED:
        E += k[None, :] * padded_columns + i[:, None]
    else:
        E += i[:, None] * padded_columns + k[None, :]
    y += (pair * padded_m + k[:, None]) * padded_width + d[None, :]
    product = tl.zeros((TILE, TILE), tl.float32)
    for _ in range(0, padded_m, STEP):
        product = _add_step(product, E, E_low, y, y_low)
        E += STEP * (padded_columns if TRANSPOSED else 1)
        y += STEP * padded_width
    product *= 1 / _scale(tl.load(E_largest + pair))
    product *= 1 / _scale(tl.load(y_largest + pair))
    inside = (i[:, None] < n) & (d[None, :] < width)
    at = (pair * n + i[:, None]) * width + d[None, :]
    weight = own * tl.load(sums + pair * n + i, mask=i < n, other=0.0)
    result = weight[:, None] * tl.load(x + at, mask=inside, other=0.0) + alpha * product
    if other is not None:
        result += tl.load(other + at, mask=inside, other=0.0)
    tl.store(grad + at, result, mask=inside)
