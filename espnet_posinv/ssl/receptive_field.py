"""From samples to frames: the arithmetic of a stack of unpadded strided convolutions."""

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class ConvStack:
    """Kernel sizes and strides of convolutions without padding, first layer first.

    One layer maps n inputs to ``floor((n - kernel) / stride) + 1`` outputs.  Stacked, output i depends on
    the ``size`` inputs from ``i * hop`` on, with ``hop = prod(strides)`` and
    ``size = 1 + sum_l (kernel_l - 1) prod_{k<l} stride_k``.  The stack's count collapses to that of one
    layer with this kernel and stride, because ``floor(floor(a / m) / n) = floor(a / (m n))``.

    >>> wav2vec2 = ConvStack((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2))
    >>> wav2vec2.hop, wav2vec2.size, wav2vec2.frames(16000)
    (320, 400, 49)
    """

    kernels: tuple[int, ...]
    strides: tuple[int, ...]

    @cached_property
    def hop(self) -> int:
        """Inputs between the starts of two neighbouring outputs."""
        hop = 1
        for stride in self.strides:
            hop *= stride
        return hop

    @cached_property
    def size(self) -> int:
        """Inputs that one output depends on."""
        size, hop = 1, 1
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            size += (kernel - 1) * hop
            hop *= stride
        return size

    def frames(self, samples):
        """Number of outputs for ``samples`` inputs (int or integer tensor); never negative."""
        frames = (samples - self.size) // self.hop + 1
        return frames.clamp(min=0) if hasattr(frames, "clamp") else max(frames, 0)
