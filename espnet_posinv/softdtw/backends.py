"""The backend modules for the device of the tensors, imported at their first use."""

import warnings
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from espnet_posinv.softdtw.problem import Problem


def kernels_for(problem: Problem):
    """The module with `forward` and `backward` for a problem."""
    return _kernels(problem.costs[0].device.type)


@cache
def _kernels(device_type: str):
    if device_type == "cuda":
        from espnet_posinv.softdtw.cuda import kernels
    else:
        from espnet_posinv.softdtw.cpu import kernels
    return kernels


def products_for(x: Tensor):
    """The module for products of frames; a CUDA grid has room for 65535 pairs."""
    narrow = x.dtype != torch.float64 and len(x) < 1 << 16
    if narrow and x.device.type == "cuda" and _has_tensor_cores(x.device.index):
        from espnet_posinv.softdtw.cuda import products
    else:
        from espnet_posinv.softdtw import products
    return products


@cache
def _has_tensor_cores(device: int) -> bool:
    """Whether the card has usable tensor cores, and Triton (part of torch on Linux) can compile for it."""
    if find_spec("triton") is None or torch.cuda.get_device_capability(device) < (8, 0):
        return False
    try:
        from espnet_posinv.softdtw.cuda.products import frame_factor

        # The result is cached: it must not depend on a mode that is active now, such as FakeTensorMode.
        with _disable_current_modes(), torch.inference_mode(False), torch.cuda.device(device):
            frame_factor(torch.zeros(1, 1, 1, device="cuda"), False)
    except Exception as error:  # of many types, for instance without a C compiler or Python's headers
        reason = f"{type(error).__name__}: {error}"
        text = f"soft-DTW: slower matrix products in float32 are used, since Triton fails: {reason}"
        warnings.warn(text, stacklevel=2)
        return False
    return True
