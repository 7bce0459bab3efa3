import numpy as np
import pytest
import torch

from espnet_posinv.perturb.padding import Padding, pad


def test_pad_puts_zeros_around_each_utterance():
    wav = torch.tensor([[1.0, 2.0, 3.0, 9.0], [4.0, 5.0, 6.0, 7.0]])
    out, lengths = pad(wav, torch.tensor([3, 4]), torch.tensor([0, 2]), torch.tensor([2, 1]))
    assert lengths.tolist() == [5, 7]
    assert out.tolist() == [[1, 2, 3, 0, 0, 0, 0], [0, 0, 4, 5, 6, 7, 0]]


@pytest.mark.parametrize("split", ["independent", "same", "total"])
def test_draws_are_whole_hops_within_the_share(split):
    padding, length = Padding((0.02, 0.05), 320, split), 160000
    draws = np.array([padding.draw(length, np.random.default_rng(seed)) for seed in range(2000)])
    assert not (draws % 320).any()
    sides = draws.sum(axis=1, keepdims=True) if split == "total" else draws
    # 2 % of 10 s are 10 frames, 5 % are 25
    assert sides.min() == 10 * 320 and sides.max() == 25 * 320
    assert abs(sides.mean() / 320 - 17.5) < 0.2
    equal = (draws[:, 0] == draws[:, 1]).mean()
    assert equal == 1 if split == "same" else equal < 0.2
    if split == "total":
        assert draws[:, 0].min() == 0 and draws[:, 1].min() == 0


def test_short_utterances_may_get_no_pad():
    assert Padding((0.02, 0.05), 320).draw(3000, np.random.default_rng(0)) == (0, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": (0.05, 0.02)}, "padding share"),
        ({"share": (-0.1, 0.1)}, "padding share"),
        ({"share": (0.1,)}, "padding share"),
        ({"split": "left"}, "padding split 'left': one of independent, same, total"),
    ],
)
def test_wrong_keys_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Padding(**options)
