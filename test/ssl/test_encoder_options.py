"""Layers, weights, freezing, recomputation, bfloat16, and what is refused."""

import pytest
import torch

from espnet_posinv.ssl import load_encoder


def wav(batch=2, samples=6000):
    torch.manual_seed(5)
    return 0.1 * torch.randn(batch, samples)


def test_squared_distance_of_joined_layers_is_the_weighted_sum(upstream):
    x, y = wav(1), wav(1).flip(1)
    weights = [0.2, 0.5, 1.3]
    joined = load_encoder(upstream("hubert-base"), layers=[0, 2, -1], weights=weights)
    got = (joined(x)[0] - joined(y)[0]).square().sum(-1)
    expected = 0
    for layer, weight in zip((0, 2, 3), weights, strict=True):
        single = load_encoder(upstream("hubert-base"), layers=layer)
        expected = expected + weight * (single(x)[0] - single(y)[0]).square().sum(-1)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


def test_all_layers_weigh_the_same_and_sum_to_one(upstream):
    encoder = load_encoder(upstream("whisper"), layers="all")
    assert encoder.layers == [0, 1, 2, 3] and encoder.weights == [0.25] * 4
    assert encoder(wav())[0].shape[2] == 4 * 32


@pytest.mark.parametrize("name", ["hubert-base", "whisper"])
@pytest.mark.parametrize(("layers", "expected"), [("conv", 0), (0, 0), (1, 1), ([0, 2], 2), (-1, 3)])
def test_only_the_layers_that_are_needed_run(upstream, name, layers, expected):
    encoder = load_encoder(upstream(name), layers=layers)
    ran = []
    for layer in encoder.network.layers:
        layer.register_forward_hook(lambda *_: ran.append(1))
    encoder(wav())
    assert len(ran) == expected


def test_frozen_and_in_eval_mode_for_good(upstream):
    encoder = load_encoder(upstream("wavlm-base"))
    x = wav()
    before, _ = encoder(x)
    encoder.train()
    torch.nn.Sequential(encoder).train()
    assert not any(m.training for m in encoder.modules())
    assert not any(p.requires_grad for p in encoder.parameters())
    torch.testing.assert_close(encoder(x)[0], before, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["hubert-base", "wavlm-large", "whisper"])
def test_recomputed_activations_give_the_same_gradient(upstream, name):
    grads = []
    for recompute in (False, True):
        encoder = load_encoder(upstream(name), recompute=recompute)
        x = wav().requires_grad_()
        encoder(x, torch.tensor([6000, 4000]))[0].square().mean().backward()
        grads.append(x.grad)
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-5, atol=1e-8)


def test_recomputation_keeps_less_for_the_backward_pass(upstream):
    def kept(recompute):
        total = 0

        def pack(tensor):
            nonlocal total
            total += tensor.nbytes
            return tensor

        encoder = load_encoder(upstream("hubert-base"), recompute=recompute)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            encoder(wav().requires_grad_())
        return total

    assert kept(True) < 0.5 * kept(False)


@pytest.mark.parametrize("name", ["hubert-base", "hubert-large", "wavlm-base", "whisper"])
def test_bfloat16_is_used_and_its_gradient_points_the_same_way(upstream, name):
    """Random weights amplify rounding more than trained ones do; bench/ has figures for those."""
    grads = []
    for dtype in ("float32", "bfloat16"):
        encoder = load_encoder(upstream(name), dtype=dtype)
        x = wav().requires_grad_()
        feats, _ = encoder(x, torch.tensor([6000, 4000]))
        assert feats.dtype == torch.float32
        (feats - encoder(wav().flip(0), torch.tensor([6000, 4000]))[0].detach()).square().mean().backward()
        grads.append(x.grad.flatten())
    assert not torch.equal(*grads)
    assert torch.cosine_similarity(*grads, dim=0) > 0.9


def test_mixed_precision_around_it_does_not_reach_it(upstream):
    encoder = load_encoder(upstream("hubert-base"))
    x = wav()
    expected, _ = encoder(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got, _ = encoder(x)
    torch.testing.assert_close(got, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 4}, "layer 4: the model has hidden states 0 to 3"),
        ({"layers": -5}, "layer -5: the model has hidden states 0 to 3"),
        ({"layers": "last"}, "layer 'last'"),
        ({"layers": []}, "layers is empty"),
        ({"layers": [3, -1]}, "named twice"),
        ({"layers": [1, 2], "weights": [1.0]}, "one positive weight for each"),
        ({"layers": [1, 2], "weights": [1.0, 0.0]}, "one positive weight for each"),
        ({"dtype": "float16"}, "float32, tf32 or bfloat16"),
        ({"sample_rate": 8000}, "was trained at 16000 Hz, but the waveforms have 8000 Hz"),
    ],
)
def test_wrong_options_are_refused(upstream, options, message):
    with pytest.raises(ValueError, match=message):
        load_encoder(upstream("hubert-base"), **options)


@pytest.mark.parametrize(
    ("wav", "lengths", "message"),
    [
        (torch.zeros(2, 1, 6000), None, r"wav must be float \(B, T\), not torch.float32 \(2, 1, 6000\)"),
        (torch.zeros(2, 6000, dtype=torch.int16), None, "wav must be float"),
        (
            torch.zeros(2, 6000),
            [6000, 6001],
            "utterance 1 of the batch: length 6001 exceeds the tensor's 6000",
        ),
        (torch.zeros(2, 6000), [399, 6000], "utterance 0 of the batch: 399 samples, but HuBERT"),
        (torch.zeros(2, 6000), [6000], "1 lengths for a batch of 2"),
    ],
)
def test_wrong_input_is_refused(upstream, wav, lengths, message):
    with pytest.raises(ValueError, match=message):
        load_encoder(upstream("hubert-base"))(wav, None if lengths is None else torch.tensor(lengths))
