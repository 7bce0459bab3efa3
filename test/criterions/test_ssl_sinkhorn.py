"""SSL-Sinkhorn against exact transport and its own definition; what it ignores; what is refused."""

import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from scipy.special import logsumexp

from espnet_posinv.criterions.ssl_sinkhorn import SSLSinkhornLoss
from espnet_posinv.ssl import load_encoder

pytest.importorskip("geomloss", reason="the extra 'sinkhorn' is not installed")
LENGTHS = torch.tensor([8000, 6100, 3000])


def pair():
    rng = torch.Generator().manual_seed(4)
    ref = torch.randn(3, 8000, generator=rng)
    return 0.1 * ref, 0.1 * ref + 0.1 * torch.randn(3, 8000, generator=rng)


def features(upstream, wav, length):
    return F.normalize(load_encoder(upstream)(wav[None, :length])[0][0], dim=-1).double().numpy()


def divergence_by_hand(x, y, blur, rounds=3000):
    """Sinkhorn's iterations in float64, long enough to converge: OT(x, y) - OT(x, x) / 2 - OT(y, y) / 2."""

    def transport(x, y):
        cost, eps = ((x[:, None] - y) ** 2).sum(-1) / 2, blur**2
        f, g = np.zeros(len(x)), np.zeros(len(y))
        for _ in range(rounds):
            f = -eps * (logsumexp((g - cost) / eps, axis=1) - np.log(len(y)))
            g = -eps * (logsumexp((f[:, None] - cost) / eps, axis=0) - np.log(len(x)))
        return f.mean() + g.mean()

    return transport(x, y) - transport(x, x) / 2 - transport(y, y) / 2


def test_a_little_blur_is_exact_transport(upstream):
    ref, inf = pair()
    loss = SSLSinkhornLoss(upstream, blur=0.01)(ref, inf, LENGTHS)
    for b, n in enumerate(LENGTHS.tolist()):
        x, y = features(upstream, inf[b], n), features(upstream, ref[b], n)
        cost = ((x[:, None] - y) ** 2).sum(-1) / 2
        exact = cost[linear_sum_assignment(cost)].mean()
        assert loss[b].item() == pytest.approx(exact, rel=0.05)


def test_more_blur_is_the_definition(upstream):
    ref, inf = pair()
    loss = SSLSinkhornLoss(upstream, blur=0.3)(ref, inf, LENGTHS)
    for b, n in enumerate(LENGTHS.tolist()):
        by_hand = divergence_by_hand(features(upstream, inf[b], n), features(upstream, ref[b], n), 0.3)
        assert loss[b].item() == pytest.approx(by_hand, rel=0.02)


def test_an_utterance_does_not_depend_on_its_batch(upstream):
    ref, inf = pair()
    criterion = SSLSinkhornLoss(upstream)
    together = criterion(ref, inf, LENGTHS)
    for b, n in enumerate(LENGTHS.tolist()):
        alone = criterion(ref[b : b + 1, :n], inf[b : b + 1, :n])
        torch.testing.assert_close(together[b : b + 1], alone, rtol=1e-4, atol=1e-6)


def test_nothing_between_equals_and_a_descent_leads_there(upstream):
    ref, inf = pair()
    criterion = SSLSinkhornLoss(upstream)
    torch.testing.assert_close(criterion(ref, ref, LENGTHS), torch.zeros(3), rtol=0, atol=1e-6)
    wav = inf.clone().requires_grad_()
    begun = criterion(ref, wav, LENGTHS)
    begun.sum().backward()
    assert (wav.grad[2, :3000] != 0).any() and (wav.grad[2, 3000:] == 0).all()
    step = wav.detach() - 0.01 * wav.grad / wav.grad.norm()
    assert criterion(ref, step, LENGTHS).sum() < begun.sum()


def test_order_does_not_count(upstream):
    rng = torch.Generator().manual_seed(0)
    frames = F.normalize(torch.randn(1, 9, 4, generator=rng), dim=-1)
    weights = torch.full((1, 9), 1 / 9)
    divergence = SSLSinkhornLoss(upstream).divergence
    mixed = frames[:, torch.randperm(9, generator=rng)]
    assert divergence(weights, frames, weights, mixed).item() == pytest.approx(0, abs=1e-5)


def test_wrong_keys_are_named(upstream, monkeypatch):
    with pytest.raises(ValueError, match="blur 0: must be above 0"):
        SSLSinkhornLoss(upstream, blur=0)
    with pytest.raises(ValueError, match="normalize_frames must be true"):
        SSLSinkhornLoss(upstream, normalize_frames=False)
    monkeypatch.setitem(sys.modules, "geomloss", None)
    with pytest.raises(ValueError, match="needs geomloss"):
        SSLSinkhornLoss(upstream)
