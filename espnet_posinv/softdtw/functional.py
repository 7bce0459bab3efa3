"""The public functions; `checks.py` checks their arguments, `autograd.py` computes."""

from functools import wraps

import torch
from torch import Tensor

from espnet_posinv.softdtw import checks
from espnet_posinv.softdtw.autograd import CostLoss, FrameLoss, Settings, alignment, frame_costs
from espnet_posinv.softdtw.problem import Problem


def _uncompiled(function):
    """Decorator: torch.compile breaks its graph at `function`, whose numba kernels it cannot trace.

    `torch.compiler.disable` alone would import torch's compiler, which takes as long as a first call.
    """

    @wraps(function)
    def call(*args, **kwargs):
        if torch.compiler.is_compiling():
            return torch.compiler.disable(function)(*args, **kwargs)
        return function(*args, **kwargs)

    return call


@_uncompiled
def soft_dtw(
    x: Tensor | None = None,
    y: Tensor | None = None,
    *,
    cost: Tensor | None = None,
    x_lengths=None,
    y_lengths=None,
    gamma: float = 0.1,
    distance: str = "sqeuclidean",
    normalize_frames: bool = False,
    band: int | None = None,
) -> Tensor:
    """Soft-DTW of each pair of sequences (Cuturi & Blondel, arXiv 1703.01541, eq. 1).

    The soft minimum, over all monotone alignments A of frames, of the summed cost:
    ``-gamma log sum_A exp(-<A, D> / gamma)``.  It can be negative; see `soft_dtw_divergence`.

    Args:
        x, y: frames (B, N, D) and (B, M, D); float64, float32, bfloat16 or float16.
        cost: instead of x and y, the costs D (B, N, M).  A cell of +inf is forbidden.
        x_lengths, y_lengths: valid frames of each sequence, integers (B,); default all.  The padding after
            them is never read and gets gradient 0.
        gamma: smoothing, in the unit of the costs; gamma -> 0 gives DTW.
        distance: "sqeuclidean" ``|x_i - y_j|^2``, or "cosine" ``1 - cos(x_i, y_j)``.
        normalize_frames: divide each frame by its L2 norm first.  A frame of zeros stays zero (its cosine
            with any other is 0) and gets no gradient.
        band: Sakoe-Chiba band in frames of the shorter sequence around the straight line between the corners.

    Returns:
        (B,), one loss per pair (not divided by its length); float64 for float64 input, else float32.
        A pair with NaN in its valid part is NaN; a pair whose +inf costs leave no alignment is +inf.

    Raises:
        ValueError: invalid shapes, devices, lengths, gamma, distance or band.
        TypeError: a dtype that is not floating-point (integer for lengths and band).
        RuntimeError: on a second derivative, which is not implemented.

    Example:
        >>> x, y = torch.tensor([[[0.0], [1.0]]]), torch.tensor([[[0.0], [2.0]]])
        >>> soft_dtw(x, y, gamma=0.01)  # nearly DTW: the best of three alignments, of cost 1, 2 and 5
        tensor([1.])
        >>> soft_dtw(x, y, gamma=1.0)  # -log(exp(-1) + exp(-2) + exp(-5))
        tensor([0.6734])
    """
    if cost is not None:
        checks.only_costs(x, y, distance, normalize_frames)
        cost, x_lengths, y_lengths = checks.costs(cost, x_lengths, y_lengths)
        return CostLoss.apply(cost, x_lengths, y_lengths, checks.gamma(gamma), checks.band(band))
    inputs = checks.frames(x, y, x_lengths, y_lengths, distance, normalize_frames)
    return FrameLoss.apply(*inputs, Settings(checks.gamma(gamma), checks.band(band), distance == "cosine"))


@_uncompiled
def soft_dtw_divergence(
    x: Tensor,
    y: Tensor,
    *,
    x_lengths=None,
    y_lengths=None,
    gamma: float = 0.1,
    distance: str = "sqeuclidean",
    normalize_frames: bool = False,
    band: int | None = None,
) -> Tensor:
    """Soft-DTW divergence ``sdtw(x,y) - sdtw(x,x)/2 - sdtw(y,y)/2`` (Blondel et al., arXiv 2010.08354).

    Zero for x = y and, unlike soft-DTW, smallest there.  Arguments, result and errors are those of
    `soft_dtw`.  The three terms are computed together, the symmetric ones on one triangle; no time is spent
    on the gradient of an input that needs none.

    Example: repeating a frame costs little, exchanging two frames costs more.

        >>> x, y = torch.tensor([[[0.0], [1.0]]]), torch.tensor([[[0.0], [0.0], [1.0]]])
        >>> soft_dtw_divergence(x, x), soft_dtw_divergence(x, y), soft_dtw_divergence(x, x.flip(1))
        (tensor([0.]), tensor([0.0549]), tensor([1.8901]))
    """
    inputs = checks.frames(x, y, x_lengths, y_lengths, distance, normalize_frames)
    cosine = distance == "cosine"
    return FrameLoss.apply(*inputs, Settings(checks.gamma(gamma), checks.band(band), cosine, divergence=True))


@_uncompiled
def soft_alignment(
    x: Tensor | None = None,
    y: Tensor | None = None,
    *,
    cost: Tensor | None = None,
    x_lengths=None,
    y_lengths=None,
    gamma: float = 0.1,
    distance: str = "sqeuclidean",
    normalize_frames: bool = False,
    band: int | None = None,
) -> Tensor:
    """Expected alignment E (B, N, M): the gradient of `soft_dtw` by the costs, to look at or plot.

    E[b, i, j], in [0, 1] up to rounding, is the probability that a random alignment, drawn with weight
    exp(-cost / gamma), passes through cell (i, j) (arXiv 1703.01541, section 2.2).  0 in the padding.
    Arguments as for `soft_dtw`; the result carries no gradient.

    Example:
        >>> x, y = torch.tensor([[[0.0], [1.0]]]), torch.tensor([[[0.0], [0.0], [1.0]]])
        >>> soft_alignment(x, y).round(decimals=2)
        tensor([[[1., 1., 0.],
                 [0., 0., 1.]]])
    """
    with torch.no_grad():
        if cost is None:
            frames = checks.frames(x, y, x_lengths, y_lengths, distance, normalize_frames)
            x, y, x_lengths, y_lengths = frames
            cost = frame_costs(x, y, distance == "cosine")
        else:
            checks.only_costs(x, y, distance, normalize_frames)
        cost, x_lengths, y_lengths = checks.costs(cost, x_lengths, y_lengths)
        return alignment(Problem([cost], x_lengths, y_lengths, checks.gamma(gamma), checks.band(band)))
