"""The CUDA kernels on a card, against the CPU; without one see test_cuda_simulator.py."""

import pytest
import torch

from espnet_posinv.softdtw import soft_alignment, soft_dtw, soft_dtw_divergence

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def close(got, expected, atol):
    torch.testing.assert_close(got.cpu().double(), expected, rtol=2e-6, atol=atol, equal_nan=True)


@pytest.mark.parametrize(
    "batch, n, m", [(1, 1, 1), (3, 33, 70), (2, 128, 129), (2, 200, 130), (1, 1300, 1100), (40, 257, 260)]
)
@pytest.mark.parametrize("band", [None, 20])
def test_any_length(batch, n, m, band):
    """Strips within a block and from block to block."""
    cost = 4 * random(batch, n, m)
    options = {"gamma": 0.1, "band": band}
    close(soft_dtw(cost=cost.cuda(), **options), soft_dtw(cost=cost.double(), **options), 1e-5)
    E = soft_alignment(cost=cost.double(), **options)
    close(soft_alignment(cost=cost.cuda(), **options), E, 5e-6)


@pytest.mark.parametrize("gamma", [1e-3, 10.0])
def test_gammas_and_large_costs(gamma):
    cost = 100 * random(1, 700, 600)
    E = soft_alignment(cost=cost.double(), gamma=gamma)
    close(soft_alignment(cost=cost.cuda(), gamma=gamma), E, 5e-6)


@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
def test_a_ragged_divergence_on_a_side_stream(distance):
    options = {"x_lengths": [170, 64, 1, 33], "y_lengths": [190, 65, 32, 1], "distance": distance}
    x, y = random(4, 170, 16, seed=1) - 0.5, random(4, 190, 16, seed=2) - 0.5
    gradients = []
    for device, dtype in (("cpu", torch.float64), ("cuda", torch.float32)):
        a, b = (frames.to(device, dtype).requires_grad_() for frames in (x, y))
        if device == "cuda":
            torch.cuda.synchronize()
            with torch.no_grad():
                a[1, 64:], b[3, 1:] = torch.nan, torch.nan  # padding
            torch.cuda.synchronize()
            with torch.cuda.stream(torch.cuda.Stream()):
                loss = soft_dtw_divergence(a, b, **options)
                loss.sum().backward()
                torch.cuda.current_stream().synchronize()
        else:
            loss = soft_dtw_divergence(a, b, **options)
            loss.sum().backward()
        gradients.append((loss.detach(), a.grad, b.grad))
    (expected, *exact), (got, *grads) = gradients
    close(got, expected, 1e-4)
    for grad, e in zip(grads, exact, strict=True):
        close(grad, e, 2e-5)


def test_bfloat16_frames():
    x, y = (random(2, n, 24, seed=n).bfloat16() for n in (90, 70))
    loss = soft_dtw(x.cuda(), y.cuda(), gamma=0.5)
    assert loss.dtype == torch.float32
    close(loss, soft_dtw(x.double(), y.double(), gamma=0.5), 1e-4)


@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
@pytest.mark.parametrize("loss", [soft_dtw, soft_dtw_divergence])
@pytest.mark.parametrize("batch, n, m, width", [(2, 300, 260, 768), (3, 1, 130, 40), (1, 129, 5, 1000)])
def test_products_are_as_exact_as_float32(loss, distance, batch, n, m, width):
    """Unit frames, whose costs lie in [0, 4]."""
    options = {"gamma": 0.1, "distance": distance, "normalize_frames": True}
    x, y = random(batch, n, width, seed=1) - 0.5, random(batch, m, width, seed=2) - 0.5
    gradients = []
    for frames in ((x.double(), y.double()), (x.cuda(), y.cuda())):
        a, b = (20 * t.requires_grad_() for t in frames)
        value = loss(a, b, **options)
        value.sum().backward()
        gradients.append((value.detach(), *(t.grad for t in frames)))
    (expected, *exact), (got, *grads) = gradients
    close(got, expected, 1e-4)
    for grad, e in zip(grads, exact, strict=True):
        close(grad, e, 1e-5 * max(1, e.abs().max()))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_a_device_that_is_not_the_current_one():
    x, y = random(2, 150, 30, seed=1), random(2, 140, 30, seed=2)
    results = []
    for device in ("cuda:0", "cuda:1"):
        a = x.to(device).requires_grad_()
        loss = soft_dtw(a, y.to(device))
        loss.sum().backward()
        results.append((loss.detach().cpu(), a.grad.cpu()))
    assert torch.cuda.current_device() == 0
    assert all(torch.equal(p, q) for p, q in zip(*results, strict=True))


def test_more_pairs_than_a_grid_has_rows():
    x, y = random(70000, 3, 4, seed=1), random(70000, 2, 4, seed=2)
    close(soft_dtw(x.cuda(), y.cuda()), soft_dtw(x.double(), y.double()), 1e-5)


def test_gradients_of_bfloat16_frames_are_rounded_once():
    x, y = (random(2, n, 100, seed=n).bfloat16() for n in (200, 150))
    a, b = (frames.cuda().requires_grad_() for frames in (x, y))
    soft_dtw_divergence(a, b, gamma=0.5).sum().backward()
    p, q = (frames.double().requires_grad_() for frames in (x, y))
    soft_dtw_divergence(p, q, gamma=0.5).sum().backward()
    for got, exact in ((a.grad, p.grad), (b.grad, q.grad)):
        assert got.dtype == torch.bfloat16
        torch.testing.assert_close(got.cpu().double(), exact, rtol=2**-8, atol=2e-4)


def test_special_costs_touch_only_their_pair():
    cost = random(4, 150, 90)
    cost[1, 34, 3] = torch.nan
    cost[2, 20] = torch.inf  # no path left
    cost[3, 7, 1:] = torch.inf  # one way through
    E = soft_alignment(cost=cost.cuda())
    assert E[1].isnan().all() and (E[2] == 0).all()
    close(E[::3], soft_alignment(cost=cost[::3].double()), 5e-6)
    values = soft_dtw(cost=cost.cuda()).cpu()
    assert values.isnan().tolist() == [False, True, False, False] and values[2] == torch.inf


def test_a_captured_graph_gives_the_same_again_and_again():
    cost = random(8, 300, 280).cuda()
    expected = soft_alignment(cost=cost)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        soft_alignment(cost=cost)
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        got = soft_alignment(cost=cost)
    for _ in range(50):
        graph.replay()
        torch.cuda.synchronize()
        assert torch.equal(got, expected)
