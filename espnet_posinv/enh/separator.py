"""What our separators share: ESPnet's interface, for networks that map waveforms to waveforms."""

from abc import abstractmethod
from collections import OrderedDict
from typing import ClassVar

import torch
from espnet2.enh.separator.abs_separator import AbsSeparator


class WaveformSeparator(AbsSeparator):
    """A separator between ESPnet's encoder ``same`` and decoder ``same``.

    Args:
        input_dim: feature size of ESPnet's encoder; must be 1, that of ``encoder: same``.

    Raises:
        ValueError: another encoder than ``same`` is configured.
    """

    name: ClassVar[str]  # in configurations
    num_spk = 1

    def __init__(self, input_dim: int):
        super().__init__()
        if input_dim != 1:
            raise ValueError(
                f"{self.name} takes waveforms, but the encoder gives {input_dim} features a frame: "
                "set 'encoder: same' and 'decoder: same'"
            )

    @abstractmethod
    def enhance(self, wav: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Enhanced waveforms (B, T) of noisy ones (B, T) in [-1, 1], zero from each length (B,) on."""

    def forward(
        self, input: torch.Tensor, ilens: torch.Tensor, additional: dict | None = None
    ) -> tuple[list[torch.Tensor], torch.Tensor, OrderedDict]:
        """ESPnet's interface to :meth:`enhance`: returns ``[enhanced]``, `ilens` and no further outputs.

        Raises:
            ValueError: the input has several channels.
        """
        if input.dim() != 2:
            raise ValueError(f"{self.name} takes one channel, (B, T), not shape {tuple(input.shape)}")
        return [self.enhance(input, ilens.to(input.device))], ilens, OrderedDict()
