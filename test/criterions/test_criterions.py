"""Values against the papers' formulas written out, invariances, gradients, seeds, and what is refused."""

import logging
import math

import pytest
import torch
import torch.nn.functional as F

from espnet_posinv.criterions.batch import batch_info, generators
from espnet_posinv.criterions.ssl_mse import SSLMSELoss
from espnet_posinv.criterions.ssl_mse_pad import SSLMSEPadLoss
from espnet_posinv.criterions.ssl_softdtw import SSLSoftDTWLoss
from espnet_posinv.perturb.speed import change_speed
from espnet_posinv.ssl import load_encoder

ALL = (SSLMSELoss, SSLMSEPadLoss, SSLSoftDTWLoss)
LENGTHS = torch.tensor([16000, 12345, 7000])
IDS = ["utt-a", "utt-b", "utt-c"]


def pair(batch=3, samples=16000):
    torch.manual_seed(4)
    ref = torch.cumsum(torch.randn(batch, samples), 1)
    ref = 0.1 * (ref - F.avg_pool1d(ref[:, None], 401, 1, 200)[:, 0]) / ref.std()
    return ref, ref + 0.05 * torch.randn(batch, samples)


def soft_dtw_by_hand(x, y, gamma):
    """The recursion of arXiv 1703.01541, cell by cell in float64."""
    x, y = x.double(), y.double()
    table = {(-1, -1): 0.0}
    for i in range(len(x)):
        for j in range(len(y)):
            before = [table.get(c, math.inf) for c in ((i - 1, j), (i, j - 1), (i - 1, j - 1))]
            low = min(before)
            soft = low - gamma * math.log(sum(math.exp((low - b) / gamma) for b in before))
            table[i, j] = (x[i] - y[j]).square().sum().item() + soft
    return table[len(x) - 1, len(y) - 1]


def test_ssl_mse_is_the_formula(upstream):
    ref, inf = pair()
    loss = SSLMSELoss(upstream, layers=1)(ref, inf, LENGTHS)
    encoder = load_encoder(upstream, layers=1)
    for b, n in enumerate(LENGTHS.tolist()):
        x, y = encoder(ref[b : b + 1, :n])[0][0], encoder(inf[b : b + 1, :n])[0][0]
        by_hand = sum(((x[i] - y[i]) ** 2).sum() for i in range(len(x))) / len(x)
        torch.testing.assert_close(loss[b], by_hand, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scale", ["sum", "none"])
@pytest.mark.parametrize("divergence", [True, False])
def test_ssl_softdtw_is_the_formula(upstream, divergence, scale):
    ref, inf = pair(samples=5000)
    criterion = SSLSoftDTWLoss(upstream, speeds=[0.9], gamma=0.07, divergence=divergence, scale=scale)
    lengths = torch.tensor([5000, 4321, 1500])
    loss = criterion(ref, inf, lengths)
    encoder = load_encoder(upstream)
    for b, n in enumerate(lengths.tolist()):
        slow, _ = change_speed(ref[b : b + 1, :n], lengths[b : b + 1], [0.9])
        x = F.normalize(encoder(inf[b : b + 1, :n])[0][0], dim=-1)
        y = F.normalize(encoder(slow)[0][0], dim=-1)
        by_hand = soft_dtw_by_hand(x, y, 0.07)
        if divergence:
            by_hand -= (soft_dtw_by_hand(x, x, 0.07) + soft_dtw_by_hand(y, y, 0.07)) / 2
        if scale == "sum":
            by_hand /= len(x) + len(y)
        assert loss[b].item() == pytest.approx(by_hand, rel=1e-3, abs=1e-5)
    assert criterion.stats["ssl_softdtw_speed"].tolist() == pytest.approx([0.9] * 3)


def test_identical_signals_give_zero(upstream):
    ref, _ = pair()
    assert SSLMSELoss(upstream)(ref, ref, LENGTHS).tolist() == [0, 0, 0]
    loss = SSLSoftDTWLoss(upstream, speeds=[1.0])(ref, ref, LENGTHS)
    torch.testing.assert_close(loss, torch.zeros(3), rtol=0, atol=1e-6)
    assert SSLMSEPadLoss(upstream, share=[0, 0])(ref, ref, LENGTHS).tolist() == [0, 0, 0]


def test_the_pad_moves_positions_and_nothing_else(upstream):
    """The convolutions know no positions: the loss of a signal against itself is 0 after any pad.

    The layers behind the position convolution see where the content begins; and a pad that is counted by
    the GroupNorm changes amplitudes (the reading that pad_in_statistics offers).
    """
    ref, inf = pair()
    wide = {"share": [0.2, 0.4]}
    with torch.no_grad():
        moved = SSLMSEPadLoss(upstream, layers="conv", **wide)
        scale = moved(ref, inf, LENGTHS)
        assert (moved(ref, ref, LENGTHS) < 1e-6 * scale).all()
        assert (moved.stats["ssl_mse_pad_left"] >= 0.2 * LENGTHS - 160).all()
        counted = SSLMSEPadLoss(upstream, layers="conv", pad_in_statistics=True, **wide)
        assert (counted(ref, ref, LENGTHS) > 1e-3 * scale).all()
        assert (SSLMSEPadLoss(upstream, **wide)(ref, ref, LENGTHS) > 1e-3).all()


def test_both_sides_are_padded_by_draws_of_their_own(upstream):
    """As written out: the same generators draw the clean speech's pads first, then the enhanced speech's."""
    ref, inf = pair()
    criterion = SSLMSEPadLoss(upstream, share=[0.0, 0.5], both=True)
    with torch.no_grad(), batch_info(lengths=LENGTHS, utt_ids=IDS):
        loss = criterion(ref, inf)
        rngs = generators(criterion.name, 3)
        encoder = criterion.encoder(ref.device)
        for row, n in enumerate(LENGTHS.tolist()):
            frames, moved = int(encoder.frame_lengths(LENGTHS[row : row + 1])), []
            for wav in (ref, inf):
                left, right = (round(rngs[row].uniform(0.0, 0.5) * n / 320) for _ in range(2))
                padded = F.pad(wav[row, :n], (320 * left, 320 * right))[None]
                inside = torch.tensor([320 * left]), torch.tensor([320 * left + n])
                features = encoder(padded, torch.tensor([padded.shape[1]]), inside)[0]
                moved.append(features[0, left : left + frames])
            expected = (moved[0] - moved[1]).square().sum(-1).mean()
            torch.testing.assert_close(loss[row], expected, rtol=1e-4, atol=1e-6)
    clean = inf.clone().requires_grad_()
    criterion(ref, clean, LENGTHS).sum().backward()
    assert clean.grad.abs().amax(1).gt(0).all()


def test_content_that_moves_matters_to_mse_and_not_to_softdtw(upstream):
    """The same sound 5 hops later, in silence, against another sound."""
    sound, other = pair(2, 12800)[0]
    early, late, other = (
        F.pad(x, p)[None] for x, p in ((sound, (3200, 4800)), (sound, (4800, 3200)), (other, (3200, 4800)))
    )
    lengths = torch.tensor([early.shape[1]])
    mse = SSLMSELoss(upstream, layers="conv", normalize_frames=True)
    dtw = SSLSoftDTWLoss(upstream, layers="conv", speeds=[1.0], gamma=0.01)
    shifted_mse, shifted_dtw = (
        (c(early, late, lengths) / c(early, other, lengths)).item() for c in (mse, dtw)
    )
    assert shifted_mse > 0.5
    assert abs(shifted_dtw) < 0.05


@pytest.mark.parametrize("criterion", ALL)
def test_a_value_and_its_gradient_do_not_depend_on_the_batch(upstream, criterion):
    ref, inf = pair()
    ref[1, 12345:], inf[1, 12345:] = 0.3, float("nan")  # whatever stands behind an utterance
    inf.requires_grad_()
    together = criterion(upstream)
    with batch_info(lengths=LENGTHS, utt_ids=IDS):
        loss = together(ref, inf)
    loss.sum().backward()
    for b, n in enumerate(LENGTHS.tolist()):
        x = inf[b : b + 1, :n].detach().clone().requires_grad_()
        with batch_info(lengths=LENGTHS[b : b + 1], utt_ids=IDS[b : b + 1]):
            alone = criterion(upstream)(ref[b : b + 1, :n], x)
        alone.sum().backward()
        torch.testing.assert_close(loss[b], alone[0], rtol=1e-4, atol=1e-6)
        scale = x.grad.abs().max().item()
        torch.testing.assert_close(inf.grad[b, :n], x.grad[0], rtol=1e-3, atol=1e-3 * scale)
        assert x.grad.norm() > 0 and not inf.grad[b, n:].any()


@pytest.mark.parametrize("criterion", ALL)
def test_gradient_goes_to_the_enhanced_signal_alone(upstream, criterion):
    ref, inf = (x.requires_grad_() for x in pair(2))
    loss = criterion(upstream)
    loss(ref, inf, LENGTHS[:2]).mean().backward()
    assert inf.grad.norm() > 0 and ref.grad is None
    (encoder,) = loss._encoders.values()
    assert all(p.grad is None and not p.requires_grad for p in encoder.parameters())


@pytest.mark.parametrize("criterion", ALL)
def test_the_encoder_is_in_no_module_tree(upstream, criterion):
    loss = criterion(upstream)
    assert not loss._encoders  # inference builds criterions, but never runs them
    loss(*pair(1), LENGTHS[:1])
    assert not list(loss.parameters()) and not loss.state_dict() and len(list(loss.modules())) == 1


@pytest.mark.parametrize("criterion", [SSLMSEPadLoss, SSLSoftDTWLoss])
def test_draws_depend_on_utterance_and_epoch_only(upstream, criterion):
    ref, inf = pair(2, 8000)
    lengths, ids = torch.tensor([8000, 8000]), ["utt-a", "utt-b"]
    options = (
        {"share": [0.0, 0.9]} if criterion is SSLMSEPadLoss else {"speeds": [0.8 + i / 50 for i in range(20)]}
    )
    key = "ssl_mse_pad_left" if criterion is SSLMSEPadLoss else "ssl_softdtw_speed"

    def draws(epoch, order=(0, 1), grad=True):
        loss = criterion(upstream, **options)
        torch.manual_seed(epoch)
        torch.rand(epoch)  # how far torch's own generator has come does not matter
        with batch_info(lengths=lengths, utt_ids=[ids[i] for i in order]), torch.set_grad_enabled(grad):
            loss(ref, inf)
        return [loss.stats[key][order.index(i)].item() for i in (0, 1)]

    assert draws(1) == draws(1) == draws(1, order=(1, 0))
    assert len({tuple(draws(epoch)) for epoch in range(6)}) > 3
    assert len({tuple(draws(epoch, grad=False)) for epoch in range(4)}) == 1  # validation: epochs comparable
    assert len(set(draws(1))) == 2


def test_without_ids_torchs_seed_decides(upstream):
    ref, inf = pair(3, 8000)
    lengths = torch.tensor([8000] * 3)

    def draw(seed):
        loss = SSLMSEPadLoss(upstream, share=[0.0, 0.9])
        torch.manual_seed(seed)
        loss(ref, inf, lengths)
        first = loss.stats["ssl_mse_pad_left"].tolist()
        loss(ref, inf, lengths)
        return first, loss.stats["ssl_mse_pad_left"].tolist()

    assert draw(1) == draw(1) != draw(2)
    assert draw(1)[0] != draw(1)[1]


@pytest.mark.parametrize("criterion", ALL)
def test_missing_lengths_are_warned_of_once(upstream, criterion, caplog):
    loss = criterion(upstream)
    ref, inf = pair(2, 8000)
    with caplog.at_level(logging.WARNING), torch.no_grad():
        full = loss(ref, inf)
        loss(ref, inf)
    assert [r.message for r in caplog.records] == [
        f"{loss.name}: it was called without the utterances' lengths (run ESPnet through python -m "
        "espnet_posinv); padding counts as speech"
    ]
    with torch.no_grad():
        torch.testing.assert_close(full, criterion(upstream)(ref, inf, torch.tensor([8000, 8000])))


def test_single_utterances_of_a_pit_solver_are_warned_of(upstream, caplog):
    ref, inf = pair(1, 8000)
    with batch_info(lengths=torch.tensor([8000, 7000]), utt_ids=["a", "b"]), caplog.at_level(logging.WARNING):
        SSLMSELoss(upstream)(ref, inf)
    assert "called with 1 of 2 utterances (a PIT solver" in caplog.text


@pytest.mark.parametrize("criterion", ALL)
def test_a_reference_that_is_not_finite_is_named(upstream, criterion):
    ref, inf = pair(2, 8000)
    ref[1, 4321] = float("nan")
    lengths = torch.tensor([8000, 6000])
    with pytest.raises(
        ValueError, match="sample 4321 of the clean reference of utterance 1 of the batch is nan"
    ):
        criterion(upstream)(ref, inf, lengths)
    with batch_info(utt_ids=["utt-a", "utt-b"]), pytest.raises(ValueError, match="reference of utt-b is nan"):
        criterion(upstream)(ref, inf, lengths)


@pytest.mark.parametrize("criterion", ALL)
def test_enhanced_speech_that_is_not_finite_is_warned_of_once(upstream, criterion, caplog):
    """The loss is NaN, and the trainer passes over the update; a good utterance beside it keeps its value."""
    ref, inf = pair(2, 8000)
    inf[0, 100] = float("inf")
    lengths, loss = torch.tensor([8000, 6000]), criterion(upstream)
    with batch_info(utt_ids=["utt-a", "utt-b"]), caplog.at_level(logging.WARNING), torch.no_grad():
        values = loss(ref, inf, lengths)
        loss(ref, inf, lengths)
    assert values[0].isnan() and values[1].isfinite()
    assert [r.message for r in caplog.records] == [
        f"{loss.name}: the loss of utt-a is nan, because the enhanced one is not finite: its noisy input "
        "is not, or the model diverged"
    ]


def test_mixed_precision_training_does_not_change_the_loss(upstream):
    ref, inf = pair(2, 8000)
    lengths = torch.tensor([8000, 6000])
    for criterion in (SSLMSELoss(upstream), SSLSoftDTWLoss(upstream, speeds=[1.1])):
        with torch.no_grad():
            plain = criterion(ref, inf, lengths)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                mixed = criterion(ref, inf, lengths)
        torch.testing.assert_close(mixed, plain, rtol=1e-4, atol=1e-6)


def test_a_fixed_projection_keeps_geometry_and_is_the_same_every_time(upstream):
    ref, inf = pair(2, 8000)
    lengths = torch.tensor([8000, 6000])
    options = {"speeds": [1.1], "normalize_frames": False}
    full, rotated, again, small = (
        SSLSoftDTWLoss(upstream, projection=p, **options)(ref, inf, lengths) for p in (None, 32, 32, 8)
    )
    torch.testing.assert_close(rotated, full, rtol=1e-3, atol=1e-4)  # 32 of 32: an orthogonal matrix
    torch.testing.assert_close(rotated, again, rtol=0, atol=0)
    assert (small < full).all()


def test_a_perturbed_reference_from_the_data(upstream):
    ref, inf = pair(2, 8000)
    lengths = torch.tensor([8000, 6000])
    slow, slow_lengths = change_speed(ref, lengths, [0.9, 0.9])
    expected = SSLSoftDTWLoss(upstream, speeds=[0.9])(ref, inf, lengths)
    loss = SSLSoftDTWLoss(upstream, perturbed_ref=True)
    with batch_info(lengths=lengths, perturbed=slow, perturbed_lengths=slow_lengths):
        torch.testing.assert_close(loss(ref, inf), expected, rtol=1e-4, atol=1e-6)
    assert loss.stats["ssl_softdtw_speed"].tolist() == pytest.approx([0.9] * 2, rel=1e-3)
    with pytest.raises(ValueError, match="the batch has no perturbed_ref1; add --train_data_path"):
        loss(ref, inf, lengths)


def test_statistics_carry_the_criterions_name(upstream):
    loss = SSLMSEPadLoss(upstream, name="later_layers", layers=[1, 2])
    loss(*pair(2, 8000), torch.tensor([8000, 6000]))
    assert {k: v.shape for k, v in loss.stats.items()} == {
        f"later_layers_{k}": (2,) for k in ("frames", "left", "right")
    }
    assert loss.stats["later_layers_frames"].tolist() == [24, 18]


@pytest.mark.parametrize(
    ("criterion", "options", "message"),
    [
        (SSLSoftDTWLoss, {"gamma": 0}, "gamma must be positive and finite, got 0.0"),
        (SSLSoftDTWLoss, {"distance": "l1"}, "distance must be one of sqeuclidean, cosine, got 'l1'"),
        (SSLSoftDTWLoss, {"band": -1}, "band must be >= 0 frames, got -1"),
        (SSLSoftDTWLoss, {"scale": "mean"}, "scale 'mean': one of sum, none"),
        (SSLSoftDTWLoss, {"speeds": [0]}, "speed factor 0"),
        (SSLSoftDTWLoss, {"speeds": 1.1}, r"speeds 1.1: a list of numbers is needed"),
        (SSLSoftDTWLoss, {"speeds": ["0.9"]}, "speed factor '0.9': a number is needed"),
        (SSLSoftDTWLoss, {"gamma": "a"}, "gamma must be a number, got 'a'"),
        (SSLMSEPadLoss, {"share": [0.1, 0.0]}, "padding share"),
        (SSLMSEPadLoss, {"split": "both"}, "padding split 'both'"),
    ],
)
def test_wrong_keys_are_refused_before_training(criterion, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        criterion("transformers:any", **options)


def test_unequal_shapes_are_refused(upstream):
    with pytest.raises(
        ValueError, match=r"ssl_mse: reference \(1, 800\) and enhanced \(1, 801\) must both be"
    ):
        SSLMSELoss(upstream)(torch.zeros(1, 800), torch.zeros(1, 801))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lengths": [800]}, r"int64 \(1,\): 2 whole numbers of samples"),
        ({"lengths": torch.tensor([1.0, 0.75])}, "float32 .*: 2 whole numbers of samples"),
        ({"lengths": torch.tensor([True, True])}, "bool .*: 2 whole numbers of samples"),
        ({"lengths": [800, 0]}, "utterance 1 of the batch: length 0, but there are 800 samples"),
        ({"lengths": [801, 800]}, "utterance 0 of the batch: length 801, but there are 800"),
        ({"ref": torch.zeros(2, 800, dtype=torch.int16)}, r"a waveform of torch.int16; a float tensor in"),
        ({"inf": torch.zeros(2, 800).numpy()}, "a waveform of ndarray"),
        ({"ref": torch.zeros(0, 800), "inf": torch.zeros(0, 800)}, "no utterance, or no sample"),
    ],
)
def test_what_would_give_a_wrong_number_is_refused(upstream, change, message):
    criterion = SSLSoftDTWLoss(upstream)
    given = {"ref": torch.zeros(2, 800), "inf": torch.zeros(2, 800), "lengths": None, **change}
    with pytest.raises(ValueError, match=message):
        criterion(**given)


def test_lengths_may_be_a_list(upstream):
    torch.manual_seed(0)
    ref, inf = torch.randn(2, 2, 1600)
    a, b = (SSLMSELoss(upstream)(ref, inf, n) for n in ([1600, 900], torch.tensor([1600, 900])))
    assert torch.equal(a, b) and not torch.equal(a, SSLMSELoss(upstream)(ref, inf, [1600, 1600]))
