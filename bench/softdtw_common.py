"""Inputs and peers (bench/requirements-softdtw.txt) of the soft-DTW benchmarks."""

import importlib
import math
import sys

import numpy as np
import torch
from torch.nn import functional as F

ACCURACY = [  # B, N, M, gamma, largest cost
    (1, 1000, 900, 0.1, 4.0),
    (1, 2000, 2000, 0.01, 4.0),
    (1, 2000, 2000, 0.001, 4.0),
    (1, 2000, 2000, 0.001, 100.0),
    (1, 2000, 2000, 10.0, 100.0),
    (2, 500, 700, 1.0, 4.0),
]


def frames(batch: int, n: int, m: int, width: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth unit frames (B, N, D) and a time-warped, noisy copy (B, M, D), float32: like SSL features."""
    random = torch.Generator().manual_seed(seed)
    anchors = torch.randn(batch, width, max(4, n // 8), generator=random)

    def sequence(length, bend):
        time = torch.linspace(0, 1, length)
        time = (time + bend * torch.sin(math.pi * time)).clamp(0, 1) * (anchors.shape[2] - 1)
        low = time.floor().long().clamp(max=anchors.shape[2] - 2)
        share = time - low
        smooth = anchors[:, :, low] * (1 - share) + anchors[:, :, low + 1] * share
        noisy = smooth + 0.5 * torch.randn(smooth.shape, generator=random)
        return F.normalize(noisy.mT, dim=-1).contiguous()

    return sequence(n, 0.0), sequence(m, 0.05)


def costs(x: torch.Tensor, y: torch.Tensor, largest: float = 4.0) -> torch.Tensor:
    """Squared Euclidean costs of unit frames, scaled from [0, 4] to [0, largest]."""
    product = torch.bmm(x, y.mT)
    return (2 - 2 * product).clamp_(min=0) * (largest / 4)


def exact_alignment(cost: torch.Tensor, gamma: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses and E of the float64 definition, on the CPU."""
    from espnet_posinv.softdtw.reference import forward_backward

    cost = cost.double().cpu().numpy()
    E = np.empty_like(cost)
    n, m = cost.shape[1:]
    losses = [forward_backward(cost[b], n, m, gamma, -1, 1.0, E[b]) for b in range(len(cost))]
    return torch.tensor(losses, dtype=torch.float64), torch.from_numpy(E)


def _maghoumi(gamma, device):
    path = "dtw_loss_functions.soft_dtw_implementations.soft_dtw_cuda_mag"
    module = importlib.import_module(path)
    function = module._SoftDTWCUDA if device == "cuda" else module._SoftDTW
    return lambda cost: function.apply(cost, gamma, 0.0)


def _bgu(gamma, device):
    if device == "cpu":
        raise NotImplementedError("needs CUDA")
    path = "dtw_loss_functions.soft_dtw_implementations.soft_dtw_cuda_ron.autograd"
    function = importlib.import_module(path).SoftDTWAutograd
    return lambda cost: function.apply(cost, gamma, None)


def _pysdtw(gamma, device):
    if device == "cuda":
        function = importlib.import_module("pysdtw.sdtw_cuda").SoftDTWcuda
    else:
        function = importlib.import_module("pysdtw.sdtw_cpu").SoftDTWcpu

    def loss(cost):
        lengths = torch.tensor([list(cost.shape[1:])] * len(cost), device=cost.device)
        return function.apply(cost, lengths, gamma, 0)

    return loss


def _ddtw(gamma, device):
    module = importlib.import_module("ddtw").SDTW(gamma=gamma, normalization="none", backend="auto")
    return lambda cost: module(C=cost) * len(cost)


def _tslearn(gamma, device):
    function = importlib.import_module("tslearn.metrics.soft_dtw_loss_pytorch")._SoftDTWLossPyTorch
    return lambda cost: function.apply(cost, gamma)


def _google(gamma, device):
    """soft-dtw-divergences: NumPy arrays, one pair at a time, in float64."""
    if device != "cpu":
        raise NotImplementedError("CPU only")
    solve = importlib.import_module("sdtw_div.numba_ops").sdtw_value_and_grad_C

    class Loss(torch.autograd.Function):
        @staticmethod
        def forward(ctx, cost):
            solved = [solve(c, gamma) for c in cost.double().numpy()]
            ctx.save_for_backward(torch.from_numpy(np.stack([E for _, E in solved])).to(cost.dtype))
            return torch.tensor([value for value, _ in solved], dtype=cost.dtype)

        @staticmethod
        def backward(ctx, seed):
            return ctx.saved_tensors[0] * seed[:, None, None]

    return Loss.apply


PEERS = {
    "google": _google,
    "maghoumi": _maghoumi,
    "bgu": _bgu,
    "pysdtw": _pysdtw,
    "ddtw": _ddtw,
    "tslearn": _tslearn,
}


def peers(gamma: float, device: str) -> dict:
    """Losses cost (B, N, M) -> (B,) or its sum, of the peers that are installed."""
    if not hasattr(np, "row_stack"):
        np.row_stack = np.vstack  # numba-cuda uses it, NumPy 2.5 has removed it
    return _installed(PEERS, gamma, device)


def _maghoumi_frames(gamma):
    path = "dtw_loss_functions.soft_dtw_implementations.soft_dtw_cuda_mag"
    return importlib.import_module(path).SoftDTW(False, gamma=gamma)


def _pysdtw_frames(gamma):
    return importlib.import_module("pysdtw").SoftDTW(gamma=gamma, use_cuda=False)


def _ddtw_frames(gamma):
    module = importlib.import_module("ddtw").SDTW(gamma=gamma, normalization="none", backend="auto")
    return lambda x, y: module(x, y) * len(x)


def _tslearn_frames(gamma):
    return importlib.import_module("tslearn.metrics.soft_dtw_loss_pytorch").SoftDTWLossPyTorch(gamma=gamma)


FRAME_PEERS = {
    "maghoumi": _maghoumi_frames,
    "pysdtw": _pysdtw_frames,
    "ddtw": _ddtw_frames,
    "tslearn": _tslearn_frames,
}


def frame_peers(gamma: float) -> dict:
    """Losses x (B, N, D), y (B, M, D) -> (B,) or its sum on the CPU, of the peers that are installed."""
    return _installed(FRAME_PEERS, gamma)


def _installed(makers: dict, *arguments) -> dict:
    found = {}
    for name, make in makers.items():
        try:
            found[name] = make(*arguments)
        except Exception as error:
            print(f"{name}: not measured ({type(error).__name__}: {error})", file=sys.stderr)
    return found
