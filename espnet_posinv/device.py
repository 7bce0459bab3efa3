"""Small tensors on their way to a GPU."""

import torch


def to_device(x: torch.Tensor, device: torch.device) -> torch.Tensor:
    """x on that device; the host does not wait, as it does for a copy from ordinary memory to a GPU.

    Waiting for all that the GPU still has to do empties its queue, and the next kernels start late.
    """
    if device.type == "cuda" and x.device.type == "cpu":
        return x.pin_memory().to(device, non_blocking=True)
    return x.to(device)
