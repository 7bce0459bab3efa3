"""What a GPU computes by other kernels than a CPU: the same frames and gradients, full and ragged."""

import pytest
import torch

from espnet_posinv.ssl import SSLEncoder
from espnet_posinv.ssl.wav2vec2 import Wav2Vec2Config, Wav2Vec2Network

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
SIZES = {"conv_dims": (32,) * 7, "dim": 64, "heads": 2, "ffn_dim": 128, "num_layers": 2, "pos_groups": 4}


def features_and_gradient(dtype, device, lengths, **changes):
    torch.manual_seed(0)
    network = Wav2Vec2Network(Wav2Vec2Config(**SIZES, **changes))
    encoder = SSLEncoder(network, label="tiny", dtype=dtype).to(device)
    wav = (0.1 * torch.randn(3, max(lengths))).to(device).requires_grad_()
    feats, frames = encoder(wav, torch.tensor(lengths))
    inside = (torch.arange(feats.shape[1], device=device) < frames[:, None])[..., None]
    (feats.sin() * inside).sum().backward()
    return (feats * inside).detach().cpu(), wav.grad.cpu()


@pytest.mark.parametrize("lengths", [[9000, 6543, 1999], [9000] * 3])
@pytest.mark.parametrize("kind", ["hubert", "large", "wavlm"])
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-4), ("tf32", 1e-2), ("bfloat16", 0.1)])
def test_a_gpu_computes_what_a_cpu_does(kind, dtype, tolerance, lengths):
    changes = {
        "hubert": {},
        "large": {"conv_norm": "layer", "conv_bias": True, "pre_norm": True},
        "wavlm": {"relative_buckets": 320, "relative_distance": 800},
    }[kind]
    expected = features_and_gradient("float32", "cpu", lengths, **changes)
    for x, y in zip(features_and_gradient(dtype, "cuda", lengths, **changes), expected, strict=True):
        assert (x - y).norm() < tolerance * y.norm()
