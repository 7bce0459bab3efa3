"""SSL-MSE-PAD: SSL-MSE with a reference that is moved by zero-padding (arXiv 2601.21084)."""

from collections.abc import Sequence

import torch

from espnet_posinv.criterions.batch import generators
from espnet_posinv.criterions.ssl_mse import SSLMSELoss
from espnet_posinv.device import to_device
from espnet_posinv.perturb.padding import Padding, pad


class SSLMSEPadLoss(SSLMSELoss):
    """SSL-MSE with zero-padding around the clean waveform; its frames are removed after encoding.

    The clean content is encoded ``left / hop`` frames later than the enhanced one, so position-dependent
    components differ and cannot be learned.  Frame-wise comparison needs equal numbers of frames, so the
    frames of the padding are removed before it (as in SPIRAL, arXiv 2201.10207).

    Args:
        upstream: the frozen encoder.
        share: [low, high], the padding as a share of the utterance's length, drawn uniformly.
        split: division of the share between the two sides: "independent", "same" or "total"
            (:class:`espnet_posinv.perturb.padding.Padding`); the paper does not say.
        pad_in_statistics: True: the encoder's normalisations along time include the padding, which then
            changes amplitudes as well.  False: the padding changes positions only.
        both: True: the enhanced speech is padded as well, by its own draws, so that on average each index
            is compared with each other one. The paper does not do so; it wants a larger share, like [0, 0.5].
        **options: see :class:`espnet_posinv.criterions.base.SSLLoss`.

    Example: even the clean signal has a loss, since its frames depend on their position.

        >>> criterion = SSLMSEPadLoss("transformers:egs2/mini_debian/ssl1/mini_hubert", share=[0.1, 0.1])
        >>> clean = torch.sin(torch.arange(16000.0) ** 2 / 4e5)[None]
        >>> loss = criterion(clean, clean)
        >>> loss > 0, criterion.stats["ssl_mse_pad_left"]  # samples: 5 frames
        (tensor([True]), tensor([1600.]))
    """

    def __init__(
        self,
        upstream: str,
        *,
        share: Sequence[float] = (0.02, 0.05),
        split: str = "independent",
        pad_in_statistics: bool = False,
        both: bool = False,
        name: str = "ssl_mse_pad",
        **options,
    ):
        super().__init__(upstream, name=name, **options)
        if self.references is not None:
            raise ValueError(f"{name}: each epoch draws new paddings, so references cannot be stored")
        self.share, self.split = tuple(share), split
        self.pad_in_statistics, self.both = pad_in_statistics, both
        Padding(self.share, split=split)  # report wrong keys before the training starts

    def distance(self, ref, inf, lengths):
        rngs = generators(self.name, len(inf))
        with torch.no_grad():
            clean, frames, left, right = self._moved(ref, lengths, rngs)
        enhanced = (
            self._moved(inf, lengths, rngs)[0] if self.both else self.encoder(inf.device)(inf, lengths)[0]
        )
        self.report(frames=frames, left=left, right=right)
        return self.compare(enhanced, clean, frames, frames)

    def _moved(self, wav, lengths, rngs):
        """Features ``(B, N, D)`` with newly drawn padding, its frames removed; frames; padding drawn."""
        encoder = self.encoder(wav.device)
        padding = Padding(self.share, encoder.hop, self.split)
        draws = [padding.draw(n, rng) for n, rng in zip(lengths.tolist(), rngs, strict=True)]
        left, right = torch.tensor(draws).T
        padded, padded_lengths = pad(wav, lengths, left, right)
        statistics = None if self.pad_in_statistics else (left, left + lengths)
        features, _ = encoder(padded, padded_lengths, statistics)
        frames = encoder.frame_lengths(lengths)
        index = torch.arange(int(frames.max()), device=wav.device)
        index = index + to_device(left, wav.device)[:, None] // encoder.hop
        index = index.clamp(max=features.shape[1] - 1)  # affects frames after the utterance only
        features = features.gather(1, index[..., None].expand(-1, -1, features.shape[2]))
        return features, to_device(frames, wav.device), left, right
