import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet_posinv.ssl.receptive_field import ConvStack

WAV2VEC2 = ConvStack((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 4)), min_size=1, max_size=4), st.integers(0, 120))
def test_frames_equal_those_of_real_convolutions(layers, samples):
    stack = ConvStack(tuple(k for k, _ in layers), tuple(s for _, s in layers))
    x = torch.ones(1, 1, samples)
    for kernel, stride in layers:
        if x.shape[-1] < kernel:
            assert stack.frames(samples) == 0
            return
        x = torch.nn.functional.conv1d(x, torch.ones(1, 1, kernel), stride=stride)
    assert stack.frames(samples) == x.shape[-1]
    assert torch.all(x == torch.tensor(stack.kernels).prod())  # sums of ones: nothing was padded


def test_size_is_what_one_frame_sees():
    x = torch.zeros(1, 1, 2000, requires_grad=True)
    y = x
    for kernel, stride in zip(WAV2VEC2.kernels, WAV2VEC2.strides, strict=True):
        y = torch.nn.functional.conv1d(y, torch.ones(1, 1, kernel), stride=stride)
    y[0, 0, 3].backward()
    seen = x.grad[0, 0].nonzero().flatten()
    assert (seen[0].item(), seen[-1].item() + 1) == (3 * WAV2VEC2.hop, 3 * WAV2VEC2.hop + WAV2VEC2.size)


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (399, 0), (400, 1), (719, 1), (720, 2), (16000, 49)])
def test_wav2vec2_counts(samples, frames):
    assert WAV2VEC2.frames(samples) == frames
    assert WAV2VEC2.frames(torch.tensor([samples])).tolist() == [frames]


def test_silence_of_whole_hops_adds_whole_frames():
    for samples in (400, 719, 12345):
        assert WAV2VEC2.frames(samples + 7 * 320) == WAV2VEC2.frames(samples) + 7
