"""Several NSNet2s in one process, whose recurrences leave a GPU idle when they run one after another."""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from espnet_posinv.enh.nsnet2 import GAIN_FLOOR, NSNet2Separator


class Gain(nn.Module):
    """The network of an NSNet2 alone: `(B, N, bins)` to gains."""

    def __init__(self, model: NSNet2Separator):
        super().__init__()
        self.model = model

    def forward(self, log_power):
        return self.model.gain(log_power)


class SideBySide:
    """Several NSNet2s on one batch, a part each.

    Args:
        models: of one device.
        batch: utterances of each.
        length: samples of an utterance, a multiple of the hop.
    """

    def __init__(self, models: Sequence[NSNet2Separator], batch: int, length: int):
        self.models, self.batch = models, batch
        self.gains: list[Callable] = [Gain(model) for model in models]
        self.streams = None
        if next(models[0].parameters()).is_cuda:  # thousands of small kernels, recorded once
            shape = (batch, length // models[0].hop + 1, models[0].n_fft // 2 + 1)
            self.gains = [
                torch.cuda.make_graphed_callables(gain, (torch.randn(shape, device="cuda"),))
                for gain in self.gains
            ]
            self.streams = [torch.cuda.Stream() for _ in models]

    def __call__(self, noisy: torch.Tensor) -> torch.Tensor:
        """Enhanced `(S B, T)` of noisy ones."""
        shared = self.models[0]
        spectrum = shared.stft(noisy)
        parts = shared.log_power(spectrum).split(self.batch)
        if self.streams is None:
            gains = [gain(x) for gain, x in zip(self.gains, parts, strict=True)]
        else:
            gains, here = [], torch.cuda.current_stream()
            for gain, x, stream in zip(self.gains, parts, self.streams, strict=True):
                stream.wait_stream(here)
                with torch.cuda.stream(stream):
                    gains.append(gain(x))
            for stream in self.streams:
                here.wait_stream(stream)
        gain = torch.cat(gains).clamp_min(GAIN_FLOOR).transpose(1, 2)
        return torch.istft(
            gain * spectrum, shared.n_fft, shared.hop, window=shared.window, length=noisy.shape[1]
        )
