"""CUDA: buffers and launches for `cuda_kernels.py`; one launch each way, on torch's stream, without waiting.

numba compiles the kernels to PTX; they are launched through the driver with bare addresses, in a few
microseconds, where numba's own launch takes a millisecond for this many arrays.

float64 costs are computed on the CPU (exactly, and the host waits for it).  A pair with a cost of 2^21
gamma and more or with exponents that do not fit 32 bits gives NaN here, where the CPU changes to a wider
format: the host cannot know of it without waiting.
"""

import ctypes
import re
from functools import cache

import numpy as np
import torch
from numba import cuda, types

from espnet_posinv.softdtw import cpu
from espnet_posinv.softdtw import cuda_kernels as kernels
from espnet_posinv.softdtw.problem import Problem
from espnet_posinv.softdtw.warp import SIMULATED, WARP


def forward(problem: Problem, keep: bool) -> tuple[torch.Tensor, tuple]:
    """Losses (groups, B) float64, and what `backward` needs: weights and words of all strips."""
    cost = problem.costs[0]
    if cost.dtype == torch.float64:
        values, state = cpu.forward(_on_cpu(problem), keep)
        return values.to(cost.device), state
    geometry, strips, rows = _geometry(problem)
    pairs = len(problem.costs) * len(cost)
    words = _words(2 * rows + kernels.EACH * pairs + 1, cost)
    W = torch.empty(2 * strips * (geometry[5] + WARP) * WARP if keep else 0, device=cost.device)
    values = torch.empty(len(problem.costs), len(cost), dtype=torch.float64, device=cost.device)
    tensors = *_three(problem.costs), problem.x_lengths, problem.y_lengths, words, words, W, values
    scalars = *geometry, int(keep), *cpu.power_constants(problem), problem.gamma
    _launch(kernels.forward_kernel, kernels.FORWARD_SIGNATURE, strips, tensors, scalars)
    return values, (words, W) if keep else ()


def backward(problem: Problem, state, seeds: torch.Tensor, wanted=(True,)) -> list[torch.Tensor | None]:
    """seeds (groups, B) times E, for the groups that are wanted."""
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
    _launch(kernels.backward_kernel, kernels.BACKWARD_SIGNATURE, strips, tensors, scalars)
    return E


def _geometry(problem: Problem) -> tuple[tuple[int, ...], int, int]:
    """Batch, groups, N, M, strips of a pair, columns of a row, band; strips and words of rows in all."""
    batch, n, m = problem.costs[0].shape
    groups = len(problem.costs)
    longest = (max(n, m), max(n, m)) if groups > 1 else (n, m)
    strips, columns = -(-longest[0] // WARP), -(-longest[1] // WARP) * WARP
    total = batch * groups * strips
    return (batch, groups, n, m, strips, columns, problem.band), total, total * columns


def _words(count: int, like: torch.Tensor) -> torch.Tensor:
    if count >= 2**31:
        raise ValueError(
            f"soft-DTW: costs of shape {tuple(like.shape)} are too large for one launch; split the batch"
        )
    return torch.full((count,), kernels.NOT_READY, dtype=torch.int32, device=like.device)


def _three(tensors: list) -> list:
    return [tensors[min(g, len(tensors) - 1)] for g in range(3)]


def _on_cpu(problem: Problem) -> Problem:
    costs = [cost.cpu() for cost in problem.costs]
    return Problem(costs, problem.x_lengths.cpu(), problem.y_lengths.cpu(), problem.gamma, problem.band)


def _launch(kernel, signature, blocks: int, tensors, scalars) -> None:
    if blocks == 0:
        return
    if SIMULATED:
        from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

        arrays = [FakeCUDAArray(tensor.detach().numpy().reshape(-1)) for tensor in tensors]
        with np.errstate(all="ignore"):
            cuda.jit(kernel)[blocks, WARP](*arrays, *scalars)
        return
    from cuda.bindings import driver

    device = tensors[0].device
    with torch.cuda.device(device):
        function = _compiled(kernel, signature, torch.cuda.current_device())
        stream = torch.cuda.current_stream().cuda_stream
        parameters = [
            p for t, a in zip(signature.args, (*tensors, *scalars), strict=True) for p in _parameters(t, a)
        ]
        packed = tuple(zip(*parameters, strict=True))
        _check(driver.cuLaunchKernel(function, blocks, 1, 1, WARP, 1, 1, 0, stream, packed, 0))


def _parameters(kind, argument) -> list[tuple]:
    """(value, C type) of what one kernel argument is made of."""
    if isinstance(kind, types.CPointer):
        return [(argument.data_ptr(), ctypes.c_void_p)]
    if kind == kernels.WORDS:
        # numba's array: owner and parent (none), items, bytes of one, address, shape, strides.
        items, size = argument.numel(), argument.element_size()
        numbers = [(n, ctypes.c_int64) for n in (items, size)]
        shape = [(n, ctypes.c_int64) for n in (items, size)]
        return [(0, ctypes.c_void_p)] * 2 + numbers + [(argument.data_ptr(), ctypes.c_void_p)] + shape
    c_type = {types.int32: ctypes.c_int32, types.float32: ctypes.c_float, types.float64: ctypes.c_double}[
        kind
    ]
    return [(int(argument) if kind == types.int32 else float(argument), c_type)]


@cache
def _compiled(kernel, signature, device: int):
    """The kernel's handle on this device; compiling takes a few seconds once in a process."""
    from cuda.bindings import driver

    ptx, _ = cuda.compile_ptx(kernel, signature, cc=torch.cuda.get_device_capability(device))
    name = re.search(r"\.entry\s+(\w+)", ptx).group(1)
    module = _check(driver.cuModuleLoadData(ptx.encode()))
    return _check(driver.cuModuleGetFunction(module, name.encode()))


def _check(result):
    error, *values = result
    if int(error) != 0:
        raise RuntimeError(f"soft-DTW: the CUDA driver answered {error.name}")
    return values[0] if values else None
