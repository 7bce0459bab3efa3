"""Buffers and launches of the kernels `forward` and `backward`, one launch for each pass, without waiting.

numba compiles the kernels to PTX.  They are launched through the driver on torch's stream, with bare
addresses, in a few microseconds; numba's own launch takes a millisecond for this number of arrays.

float64 costs are computed on the CPU, for which the host waits.  A matrix with a cost of 2^21 gamma or more,
or with exponents that do not fit 32 bits, gives NaN; the CPU would use a wider format, but here the host
would have to wait for the costs.
"""

import ctypes
import re
from functools import cache

import numpy as np
import torch
from numba import cuda, types

from espnet_posinv.softdtw.cpu import kernels as cpu
from espnet_posinv.softdtw.cuda import backward as backward_kernel
from espnet_posinv.softdtw.cuda import forward as forward_kernel
from espnet_posinv.softdtw.cuda.strips import EACH, NOT_READY, PAD, WORDS
from espnet_posinv.softdtw.cuda.warp import SIMULATED, WARP
from espnet_posinv.softdtw.exponents import arithmetic
from espnet_posinv.softdtw.problem import Problem


def forward(problem: Problem, keep: bool) -> tuple[torch.Tensor, tuple]:
    """Losses (groups, B) float64, and the state for `backward`: weights and words of all strips."""
    cost = problem.costs[0]
    if cost.dtype == torch.float64:
        values, state = cpu.forward(_on_cpu(problem), keep)
        return values.to(cost.device), state
    geometry, strips, rows = _geometry(problem)
    matrices = len(problem.costs) * len(cost)
    words = _words(rows + EACH * matrices + 1, cost)
    W = words.new_empty(strips * (geometry[5] + WARP) * WARP if keep else 0)
    values = torch.empty(len(problem.costs), len(cost), dtype=torch.float64, device=cost.device)
    tensors = *_three(problem.costs), problem.x_lengths, problem.y_lengths, words, words, W, values
    constants = arithmetic(problem.gamma, double=False)
    c = float(constants.c_hi), float(constants.c_lo), float(constants.forbidden)
    scalars = *geometry, int(keep), *c, problem.gamma
    _launch(forward_kernel, strips, tensors, scalars)
    return values, (words, W) if keep else ()


def backward(problem: Problem, state, seeds: torch.Tensor, wanted=(True,)) -> list[torch.Tensor | None]:
    """seeds (groups, B) times E, for the wanted groups."""
    cost = problem.costs[0]
    if cost.dtype == torch.float64:
        E = cpu.backward(_on_cpu(problem), state, seeds.cpu(), wanted)
        return [None if e is None else e.to(cost.device) for e in E]
    geometry, strips, rows = _geometry(problem)
    E = [torch.empty_like(c) if w else None for c, w in zip(problem.costs, wanted, strict=True)]
    grads = _three([cost.new_empty(0) if e is None else e for e in E])
    seeds = seeds.to(torch.float32).contiguous()
    words = _words(rows + 1, cost)
    tensors = *grads, problem.x_lengths, problem.y_lengths, state[0], words, words, state[1], seeds
    scalars = *geometry, sum(1 << g for g, w in enumerate(wanted) if w)
    _launch(backward_kernel, strips, tensors, scalars)
    return E


def _geometry(problem: Problem) -> tuple[tuple[int, ...], int, int]:
    """Batch, groups, N, M, strips of a matrix, columns of a row, band; strips and words of rows in all."""
    batch, n, m = problem.costs[0].shape
    groups = len(problem.costs)
    longest = (max(n, m), max(n, m)) if groups > 1 else (n, m)
    strips, columns = -(-longest[0] // WARP), -(-longest[1] // WARP) * WARP
    total = batch * groups * strips
    return (batch, groups, n, m, strips, columns, problem.band), total, total * (columns + 2 * PAD)


def _words(count: int, like: torch.Tensor) -> torch.Tensor:
    if count >= 2**31:
        raise ValueError(
            f"soft-DTW: costs of shape {tuple(like.shape)} are too large for one launch; split the batch"
        )
    return torch.full((count,), NOT_READY, dtype=torch.int64, device=like.device)


def _three(tensors: list) -> list:
    return [tensors[min(g, len(tensors) - 1)] for g in range(3)]


def _on_cpu(problem: Problem) -> Problem:
    costs = [cost.cpu() for cost in problem.costs]
    return Problem(costs, problem.x_lengths.cpu(), problem.y_lengths.cpu(), problem.gamma, problem.band)


def _launch(module, blocks: int, tensors, scalars) -> None:
    if blocks == 0:
        return
    if SIMULATED:
        from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

        arrays = [FakeCUDAArray(tensor.detach().numpy().reshape(-1)) for tensor in tensors]
        with np.errstate(all="ignore"):
            cuda.jit(module.kernel)[blocks, WARP](*arrays, *scalars)
        return
    from cuda.bindings import driver

    with torch.cuda.device(tensors[0].device):
        function, is_array, c_types = _compiled(module, torch.cuda.current_device())
        stream = torch.cuda.current_stream().cuda_stream
        values = []
        for tensor, array in zip(tensors, is_array, strict=True):
            address = tensor.data_ptr()
            if array:  # numba's array: owner and parent (none), items, bytes of one, address, shape, strides
                items, size = tensor.numel(), tensor.element_size()
                values += 0, 0, items, size, address, items, size
            else:
                values.append(address)
        packed = (*values, *scalars), c_types
        grid, block, shared_bytes = (blocks, 1, 1), (WARP, 1, 1), 0
        _check(driver.cuLaunchKernel(function, *grid, *block, shared_bytes, stream, packed, 0))


@cache
def _compiled(module, device: int):
    """The kernel's handle on this device, which tensors it takes as arrays, and the C types of its arguments.

    Compiling takes a few seconds, once in a process.
    """
    from cuda.bindings import driver

    ptx, _ = cuda.compile_ptx(module.kernel, module.SIGNATURE, cc=torch.cuda.get_device_capability(device))
    entry = re.search(r"\.entry\s+(\w+)", ptx).group(1)
    loaded = _check(driver.cuModuleLoadData(ptx.encode()))
    function = _check(driver.cuModuleGetFunction(loaded, entry.encode()))
    c_types = {types.int32: ctypes.c_int32, types.float32: ctypes.c_float, types.float64: ctypes.c_double}
    is_array, given = [], []
    for kind in module.SIGNATURE.args:
        if kind in c_types:
            given.append(c_types[kind])
            continue
        is_array.append(kind == WORDS)
        number, address = ctypes.c_int64, ctypes.c_void_p
        given += [address, address, number, number, address, number, number] if is_array[-1] else [address]
    return function, is_array, tuple(given)


def _check(result):
    error, *values = result
    if int(error) != 0:
        raise RuntimeError(f"soft-DTW: the CUDA driver returned {error.name}")
    return values[0] if values else None
