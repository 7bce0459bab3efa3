"""Triton's kernels in its interpreter, against float64; run by test_triton_interpreter.py.

Sizes lie around a tile's 128 rows and a step's 32; the interpreter does not truncate as tensor cores do, so
what a card itself adds to the errors is tested in test_softdtw_gpu.py.
"""

import pytest
import torch
from torch.nn import functional as F

from espnet_posinv.softdtw import autograd, products, soft_dtw, soft_dtw_divergence
from espnet_posinv.softdtw.cuda import products as cuda_products

SIZES = [(3, 130, 270, 40), (1, 1, 3, 5), (2, 60, 129, 257), (1, 300, 140, 64)]


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def close(got, expected, relative):
    error = (got.double() - expected).abs().max() / expected.abs().max()
    assert error <= relative, error


@pytest.mark.parametrize("batch, n, m, width", SIZES)
@pytest.mark.parametrize("cosine", [False, True])
def test_costs_and_gradients(batch, n, m, width, cosine):
    x, y = normal(batch, n, width, seed=1), normal(batch, m, width, seed=2)
    if cosine:
        x, y = F.normalize(x, dim=-1), F.normalize(y, dim=-1)
    seed = torch.tensor([1.0, -0.003, 70.0][:batch])
    E = normal(batch, n, m, seed=3).abs().clamp(max=1) ** 8 * seed[:, None, None]
    results = []
    for module, dtype in ((cuda_products, torch.float32), (products, torch.float64)):
        sides = [module.frame_factor(frames.to(dtype), cosine) for frames in (x, y)]
        factor = module.alignment_factor(E.to(dtype), seed.to(dtype))
        results.append([
            module.frame_costs(*sides, cosine),
            module.frame_gradient([(factor, False, sides[1])], x.to(dtype), cosine),
            module.frame_gradient([(factor, True, sides[0])], y.to(dtype), cosine),
        ])  # fmt: skip
    for got, expected in zip(*results, strict=True):
        assert got.dtype == torch.float32
        close(got, expected, 3e-7)


@pytest.mark.parametrize("x_size, y_size", [(1e-15, 1e-15), (1e12, 1e12), (1e6, 1e-9), (0.0, 1.0)])
def test_frames_of_any_size(x_size, y_size):
    """fp16 ends at 65504: the scales must follow the frames."""
    x, y = x_size * normal(1, 20, 30, seed=1), y_size * normal(1, 20, 30, seed=2)
    sides = [cuda_products.frame_factor(frames, False) for frames in (x, y)]
    wide = [products.frame_factor(frames.double(), False) for frames in (x, y)]
    close(cuda_products.frame_costs(*sides, False), products.frame_costs(*wide, False), 3e-7)


def test_a_pair_has_its_own_scale():
    """What another pair of the batch holds, NaN and huge numbers included, changes nothing."""
    x, y = normal(3, 20, 30, seed=1), normal(3, 33, 30, seed=2)
    alone = cuda_products.frame_costs(*(cuda_products.frame_factor(t[1:2], False) for t in (x, y)), False)
    x[0] *= 1e15
    x[2, 5, 7] = torch.nan
    costs = cuda_products.frame_costs(*(cuda_products.frame_factor(t, False) for t in (x, y)), False)
    assert torch.equal(costs[1:2], alone)
    assert costs[2, 5].isnan().all() and not costs[:2].isnan().any()


@pytest.mark.parametrize("loss", [soft_dtw, soft_dtw_divergence])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_whole_loss(loss, dtype, monkeypatch):
    """Through autograd, ragged, padded with NaN: by Triton, and by torch in float64."""
    options = {"x_lengths": [70, 33], "y_lengths": [64, 5], "gamma": 0.5}
    x, y = normal(2, 70, 24, seed=1).to(dtype), normal(2, 64, 24, seed=2).to(dtype)
    x[1, 33:], y[1, 5:] = torch.nan, torch.nan
    results = []
    for module, kind in ((cuda_products, dtype), (products, torch.float64)):
        monkeypatch.setattr(autograd, "products_for", lambda _, module=module: module)
        a, b = (frames.to(kind, copy=True).requires_grad_() for frames in (x, y))
        value = loss(a, b, **options)
        (value * torch.tensor([1.0, -3.0])).sum().backward()
        results.append((value.detach(), a.grad, b.grad))
    (value, *grads), (expected, *exact) = results
    assert value.dtype == torch.float32 and all(grad.dtype == dtype for grad in grads)
    torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=1e-4)
    for grad, e in zip(grads, exact, strict=True):
        close(grad, e, 2e-6 if dtype == torch.float32 else 2**-7)  # truncated here
