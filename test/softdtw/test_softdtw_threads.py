"""Threads: the same bits for any number of them, inside one pair too; several callers; after a fork."""

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from espnet_posinv.softdtw import soft_dtw
from espnet_posinv.softdtw.cpu import kernels as cpu
from espnet_posinv.softdtw.problem import Problem


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def loss_and_gradient(cost, **options):
    cost = cost.detach().requires_grad_()
    loss = soft_dtw(cost=cost, **options)
    return loss.detach(), torch.autograd.grad(loss.sum(), cost)[0]


@pytest.mark.parametrize(
    "shape, options", [((1, 400, 300), {}), ((5, 130, 120), {"band": 30}), ((1, 60, 2000), {})]
)
def test_any_number_of_threads_gives_the_same_bits(threads, random_costs, shape, options):
    cost = random_costs(*shape)
    threads(1)
    expected = loss_and_gradient(cost, **options)
    for count in (2, 3, 8):
        threads(count)
        for _ in range(5):
            assert all(map(torch.equal, loss_and_gradient(cost, **options), expected))


def test_one_pair_is_shared(threads, random_costs, monkeypatch):
    """B = 1: a second thread is asked, and strips of the same pair are taken by both."""
    threads(2)
    takers = []
    original = cpu.forward_strips

    def strips(*arguments):
        takers.append(threading.get_ident())
        return original(*arguments)

    monkeypatch.setattr(cpu, "forward_strips", strips)
    soft_dtw(cost=random_costs(1, 400, 300))
    assert len(set(takers)) == 2
    takers.clear()
    soft_dtw(cost=random_costs(1, 40, 30))
    assert takers == [threading.get_ident()]  # too little work to wake another one


def test_callers_in_several_threads(threads, random_costs):
    threads(2)
    costs = [random_costs(2, 200, 210, seed=seed) for seed in range(4)]
    expected = [loss_and_gradient(cost) for cost in costs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for result, right in zip(pool.map(loss_and_gradient, costs), expected, strict=True):
                assert all(map(torch.equal, result, right))


def _solve(problem):
    """Value and E by the kernels alone: torch's own parallel loops (libgomp) hang in a forked child."""
    values, state = cpu.forward(problem, keep=True)
    (E,) = cpu.backward(problem, state, torch.ones(1, 1))
    return values.numpy(), E.numpy()


def _in_child(problem, expected):
    if not all(map(np.array_equal, _solve(problem), expected)):
        raise SystemExit(3)


def test_after_a_fork(threads, random_costs):
    """A forked data loader worker has none of its parent's threads."""
    threads(2)
    lengths = torch.tensor([300])
    problem = Problem([random_costs(1, 300, 300)], lengths, lengths, 0.1, -1)
    context = multiprocessing.get_context("fork")
    child = context.Process(target=_in_child, args=(problem, _solve(problem)), daemon=True)
    child.start()
    child.join(60)
    child.kill()
    assert child.exitcode == 0


def test_denormals_are_as_before(random_costs):
    """Kernels flush denormals on their threads; the caller's arithmetic keeps them."""
    loss_and_gradient(random_costs(1, 100, 100))
    assert (torch.tensor(1e-30) * torch.tensor(1e-10)).item() > 0
