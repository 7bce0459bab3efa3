"""NSNet2, the noise suppressor of Braun and Tashev (arXiv 2008.06412), as an ESPnet separator.

A causal network maps the log power spectrum of each 20 ms frame to a gain per frequency bin, which
multiplies the complex spectrum. ESPnet's own STFT encoder has no square-root Hann window, so the
transform is done here.
"""

import torch

from espnet_posinv.enh.separator import WaveformSeparator

POWER_FLOOR = 1e-12  # of log10, as in the published inference code
GAIN_FLOOR = 1e-4  # -80 dB, likewise


class NSNet2Separator(WaveformSeparator):
    r"""Mask a noisy spectrum with gains predicted by a two-layer GRU.

    .. math::  \hat{s} = \mathrm{STFT}^{-1}\bigl(\max(g, 10^{-4}) \odot Y\bigr), \quad
               g = \mathrm{NSNet2}\bigl(\log_{10} \max(|Y|^2, 10^{-12})\bigr)

    Braun and Tashev, arXiv 2008.06412, section 2. The output of an utterance does not depend on its
    neighbours in the batch nor on its trailing padding: see :meth:`enhance`.

    Args:
        input_dim: 1; see :class:`~espnet_posinv.enh.separator.WaveformSeparator`.
        n_fft: frame length in samples (320 = 20 ms at 16 kHz); even; the hop is half of it.
        gru_size: units of each of the two GRU layers.
        linear_size: units of the two linear layers before the gain.

    Raises:
        ValueError: another encoder than ``same`` is configured, or `n_fft` is odd.
    """

    name = "nsnet2"

    def __init__(self, input_dim: int, n_fft: int = 320, gru_size: int = 400, linear_size: int = 600):
        super().__init__(input_dim)
        if n_fft % 2:
            raise ValueError(f"n_fft must be even, the hop being half of it, not {n_fft}")
        bins = n_fft // 2 + 1
        self.n_fft, self.hop = n_fft, n_fft // 2
        self.linear_in = torch.nn.Linear(bins, gru_size)
        self.gru = torch.nn.GRU(gru_size, gru_size, num_layers=2, batch_first=True)
        self.linear1 = torch.nn.Linear(gru_size, linear_size)
        self.linear2 = torch.nn.Linear(linear_size, linear_size)
        self.linear_out = torch.nn.Linear(linear_size, bins)
        # The published code takes numpy.hanning, the symmetric window.
        window = torch.hann_window(n_fft, periodic=False).sqrt()
        self.register_buffer("window", window, persistent=False)

    def stft(self, wav: torch.Tensor) -> torch.Tensor:
        """Spectrum (B, bins, 1 + T/hop), complex, of `wav` (B, T), T a multiple of the hop."""
        return torch.stft(
            wav, self.n_fft, self.hop, window=self.window, pad_mode="constant", return_complex=True
        )

    def gain(self, log_power: torch.Tensor) -> torch.Tensor:
        """Gain in (0, 1) of each time-frequency bin, from log10 of the power spectrum; both (B, N, bins).

        Frame n depends on frames 0..n only.
        """
        x = torch.relu(self.linear_in(log_power))
        x, _ = self.gru(x)
        x = torch.relu(self.linear1(x))
        x = torch.relu(self.linear2(x))
        return torch.sigmoid(self.linear_out(x))

    def log_power(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Network input (B, N, bins) of a complex spectrum (B, bins, N)."""
        # re^2 + im^2, not abs()^2: the derivative of abs() is undefined at the zeros of padding.
        power = spectrum.real.square() + spectrum.imag.square()
        return power.clamp_min(POWER_FLOOR).log10().transpose(1, 2)

    def enhance(self, wav: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Enhance a padded batch.

        Frame n is centred on sample ``n * hop`` and reaches ``hop`` samples to either side, so the last
        sample of an utterance of L samples is in frames up to ``ceil(L / hop)``. The network is causal
        and the samples after L are zeroed, so later frames cannot change the first L output samples, if the
        batch holds all of these frames: hence the padding to a multiple of the hop.
        """
        samples = wav.shape[1]
        valid = torch.arange(samples, device=wav.device) < lengths[:, None]
        padded = torch.nn.functional.pad(wav.float() * valid, (0, -samples % self.hop))
        spectrum = self.stft(padded)
        gain = self.gain(self.log_power(spectrum)).float().clamp_min(GAIN_FLOOR).transpose(1, 2)
        out = torch.istft(gain * spectrum, self.n_fft, self.hop, window=self.window, length=padded.shape[1])
        return out[:, :samples] * valid
