"""Devices, and small tensors on their way to a GPU."""

import torch


def find_device(name: str | torch.device) -> torch.device:
    """The device of that name.

    Raises:
        ValueError: torch does not know the name, or finds no such device.
    """
    try:
        device = torch.device(name)
        if device.type != "cuda":
            torch.empty(0, device=device)
            return device
        if (device.index or 0) < torch.cuda.device_count():  # does not start CUDA: the process may still fork
            return device
    except (RuntimeError, AssertionError):
        pass
    raise ValueError(f"device {name}: torch finds none here; cpu works everywhere")


def to_device(x: torch.Tensor, device: torch.device) -> torch.Tensor:
    """x on that device, copied to a GPU without waiting.

    A copy from ordinary memory would wait until the GPU's queue is empty, and the next kernels would start
    late.
    """
    if device.type == "cuda" and x.device.type == "cpu":
        return x.pin_memory().to(device, non_blocking=True)
    return x.to(device)
