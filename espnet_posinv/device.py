"""Small tensors on their way to a GPU."""

import torch


def to_device(x: torch.Tensor, device: torch.device) -> torch.Tensor:
    """x on that device, copied to a GPU without waiting.

    A copy from ordinary memory would wait until the GPU's queue is empty, and the next kernels would start
    late.
    """
    if device.type == "cuda" and x.device.type == "cpu":
        return x.pin_memory().to(device, non_blocking=True)
    return x.to(device)
