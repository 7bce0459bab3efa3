"""The CUDA kernels in numba's simulator, against the CPU kernels; run by test_cuda_simulator.py.

One strip is 32 rows, words are handed over 8 columns at a time, rings turn every 32 and 64 columns: sizes
lie around these.
"""

import threading
import warnings

import numpy as np
import pytest
import torch
from numba.cuda.simulator import kernel as simulator

from espnet_posinv.softdtw import autograd, soft_alignment, soft_dtw, soft_dtw_divergence
from espnet_posinv.softdtw.cpu import kernels as cpu
from espnet_posinv.softdtw.cuda import kernels as cuda
from espnet_posinv.softdtw.cuda.warp import SIMULATED
from espnet_posinv.softdtw.problem import Problem

assert SIMULATED, "set NUMBA_ENABLE_CUDASIM=1 before numba is imported"


def run_block(manager, grid_point, *args):
    """One block; its threads pass a baton, where numba's own loop polls them and takes ten times as long."""
    ring = []

    def body():
        me = threading.current_thread()
        me.turn.acquire()
        try:
            with warnings.catch_warnings():
                manager._f(*args)
        finally:
            following = ring[(ring.index(me) + 1) % len(ring)]
            ring.remove(me)
            following.turn.release()

    for point in np.ndindex(*manager._block_dim):
        thread = simulator.BlockThread(body, manager, grid_point, point, False)
        thread.turn, thread.ring = threading.Semaphore(0), ring
        ring.append(thread)
    threads = list(ring)
    for thread in threads:
        thread.start()
    threads[0].turn.release()
    for thread in threads:
        thread.join()
        if thread.exception:
            raise thread.exception[0].with_traceback(thread.exception[1])


def wait_for_all(thread):
    following = thread.ring[(thread.ring.index(thread) + 1) % len(thread.ring)]
    following.turn.release()
    thread.turn.acquire()


@pytest.fixture(autouse=True)
def baton(monkeypatch):
    monkeypatch.setattr(simulator.BlockManager, "run", run_block)
    monkeypatch.setattr(simulator.BlockThread, "syncthreads", wait_for_all)


def costs(batch, n, m, seed=0):
    return torch.rand(batch, n, m, generator=torch.Generator().manual_seed(seed))


def compare(costs, x_lengths, y_lengths, gamma=0.1, band=-1, wanted=None):
    """Losses and E of the kernels in the simulator and of the CPU's; returns the simulator's."""
    groups, batch = len(costs), len(costs[0])
    problem = Problem(costs, torch.tensor(x_lengths), torch.tensor(y_lengths), gamma, band)
    seeds = torch.linspace(0.5, 2.0, groups * batch).view(groups, batch)
    wanted = wanted or [True] * groups
    results = []
    for kernels in (cuda, cpu):
        values, state = kernels.forward(problem, keep=True)
        results.append((values, kernels.backward(problem, state, seeds, wanted)))
    (values, E), (expected_values, expected_E) = results
    torch.testing.assert_close(values, expected_values, rtol=1e-6, atol=1e-6, equal_nan=True)
    for e, expected in zip(E, expected_E, strict=True):
        assert (e is None) == (expected is None)
        if e is not None:
            torch.testing.assert_close(e, expected, rtol=0, atol=4e-6, equal_nan=True)
    return values, E


slow = pytest.mark.slow


@pytest.mark.parametrize(
    "n, m",
    [(1, 1), (5, 7), (1, 40), (40, 1), (33, 31)]
    + [pytest.param(*sizes, marks=slow) for sizes in ((31, 33), (32, 32), (65, 20))],
)
def test_sizes_around_a_strip(n, m):
    compare([costs(1, n, m)], [n], [m])


@slow
def test_long_enough_for_every_ring_to_turn():
    compare([costs(1, 70, 133)], [70], [133])


def test_a_ragged_batch_and_its_padding():
    cost = costs(4, 36, 35)
    x_lengths, y_lengths = [36, 33, 1, 12], [9, 35, 33, 1]
    for b in range(4):
        cost[b, x_lengths[b] :] = torch.nan
        cost[b, :, y_lengths[b] :] = torch.nan
    _, (E,) = compare([cost], x_lengths, y_lengths)
    for b in range(4):
        assert (E[b, x_lengths[b] :] == 0).all() and (E[b, :, y_lengths[b] :] == 0).all()


@pytest.mark.parametrize(
    "n, m, band",
    [(34, 20, 2)]
    + [pytest.param(*case, marks=slow) for case in ((40, 40, 0), (40, 66, 3), (66, 40, 5), (33, 33, 12))],
)
def test_bands(n, m, band):
    compare([costs(1, n, m)], [n], [m], band=band)


@pytest.mark.parametrize("gamma", [1e-3, pytest.param(1.0, marks=slow), 30.0])
def test_gammas(gamma):
    compare([4 * costs(1, 34, 9)], [34], [9], gamma=gamma)


def test_negative_costs():
    compare([4 * costs(1, 34, 9) - 3], [34], [9])


def test_special_costs_touch_only_their_pair():
    cost = costs(5, 36, 10)
    cost[1, 34, 3] = torch.nan
    cost[2, 20] = torch.inf  # no path left
    cost[3, 7, 1:] = torch.inf  # one way through
    cost[4, 2, 2] = -torch.inf
    values, (E,) = compare([cost], [36] * 5, [10] * 5)
    assert values.isnan().tolist() == [[False, True, False, False, True]] and values[0, 2] == torch.inf
    assert E[1].isnan().all() and (E[2] == 0).all() and torch.isfinite(E[3]).all()


def test_exponents_that_do_not_fit_give_nan():
    """The CPU would change to float64; the host of a GPU cannot know without waiting."""
    cost = costs(2, 5, 5)
    cost[1] *= 1e7
    problem = Problem([cost], torch.tensor([5, 5]), torch.tensor([5, 5]), 0.1, -1)
    values, state = cuda.forward(problem, keep=True)
    (E,) = cuda.backward(problem, state, torch.ones(1, 2))
    assert values.isnan().tolist() == [[False, True]]
    assert torch.isfinite(E[0]).all() and E[1].isnan().all()


def test_lengths_that_lie_give_nan():
    """Lengths on a GPU are not read by the host."""
    problem = Problem([costs(3, 5, 6)], torch.tensor([5, 6, 0]), torch.tensor([6, 6, 6]), 0.1, -1)
    values, state = cuda.forward(problem, keep=True)
    cuda.backward(problem, state, torch.ones(1, 3))
    assert values.isnan().tolist() == [[False, True, True]]


def test_the_three_groups_of_a_divergence():
    """The symmetric groups are folded; rows and columns of the third are y's."""
    x, y = costs(2, 34, 4, seed=1), costs(2, 36, 4, seed=2)
    three = [torch.cdist(a, b).square() for a, b in ((x, y), (x, x), (y, y))]
    compare(three, [34, 20], [7, 36])
    _, E = compare(three, [20, 33], [7, 9], wanted=[True, True, False])
    assert E[2] is None


def test_an_empty_batch():
    problem = Problem(
        [costs(0, 5, 6)], torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long), 0.1, -1
    )
    values, state = cuda.forward(problem, keep=True)
    assert values.shape == (1, 0) and cuda.backward(problem, state, torch.ones(1, 0))[0].shape == (0, 5, 6)


def test_without_weights_the_losses_are_the_same():
    problem = Problem([costs(1, 33, 9)], torch.tensor([33]), torch.tensor([9]), 0.1, -1)
    values, state = cuda.forward(problem, keep=False)
    assert state == ()
    assert torch.equal(values, cuda.forward(problem, keep=True)[0])


def test_the_public_functions(monkeypatch):
    """From frames to the gradient of frames, all on the simulated kernels."""
    x = costs(2, 34, 3, seed=3).requires_grad_()
    y = costs(2, 20, 3, seed=4).requires_grad_()
    options = {"x_lengths": [34, 10], "y_lengths": [8, 20], "gamma": 0.3}

    def results():
        loss = soft_dtw_divergence(x, y, **options)
        gradients = torch.autograd.grad(loss.sum(), (x, y))
        return loss.detach(), *gradients, soft_alignment(x, y, **options), soft_dtw(x, y, **options).detach()

    expected = results()
    monkeypatch.setattr(autograd, "kernels_for", lambda problem: cuda)
    for got, right in zip(results(), expected, strict=True):
        torch.testing.assert_close(got, right, rtol=0, atol=1e-5)


def test_float64_is_computed_on_the_cpu():
    problem = Problem([costs(1, 5, 6).double()], torch.tensor([5]), torch.tensor([6]), 0.1, -1)
    values, state = cuda.forward(problem, keep=True)
    expected, expected_state = cpu.forward(problem, keep=True)
    assert torch.equal(values, expected)
    seeds = torch.ones(1, 1, dtype=torch.float64)
    (E,), (expected_E,) = (k.backward(problem, s, seeds) for k, s in ((cuda, state), (cpu, expected_state)))
    assert torch.equal(E, expected_E)
