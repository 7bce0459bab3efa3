"""From the libraries' parameter names to ours."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn


def load_renamed(
    network: nn.Module,
    state: Mapping[str, torch.Tensor],
    renames: Iterable[tuple[str, str | Callable[[re.Match], str]]],
    ignore: str,
    source: str,
) -> None:
    """Copy ``state`` into the network; every parameter must occur once.

    Query, key and value projections may be separate or fused; ours are fused, in this order.

    Args:
        network: gets the weights.
        state: parameters by the library's names.
        renames: ``(pattern, replacement)`` pairs; each name is rewritten by all that match its start.
        ignore: pattern of names that the features do not need (pre-training heads and the like).
        source: named in errors.

    Raises:
        ValueError: names or shapes that do not fit: a model of another architecture.
    """
    ours: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        if re.match(ignore, name):
            continue
        for pattern, replacement in renames:
            name = re.sub(f"^(?:{pattern})", replacement, name)
        ours[name] = value.detach()
    for name in [n for n in ours if re.search(r"\.q\.(weight|bias)$", n)]:
        parts = [name.replace(".q.", f".{letter}.") for letter in "qkv"]
        if all(p in ours for p in parts):
            ours[name.replace(".q.", ".qkv.")] = torch.cat([ours.pop(p) for p in parts])
    try:
        network.load_state_dict(ours)
    except RuntimeError as error:
        raise ValueError(
            f"{source}: its weights do not fit the architecture that it claims:\n{error}"
        ) from error


def normalised_weight(conv: Any) -> torch.Tensor:
    """The weight of a convolution under weight normalisation (arXiv 1602.07868), ``g v / ||v||``.

    In float64: in float32 its last bits depend on the number of threads, and with them an encoder's
    fingerprint.

    Args:
        conv: with torch's ``weight_norm``, old or new; without it, its weight is returned as it is.
    """
    if hasattr(conv, "weight_g"):
        g, v = conv.weight_g, conv.weight_v
    elif hasattr(conv, "parametrizations"):
        g, v = conv.parametrizations.weight.original0, conv.parametrizations.weight.original1
    else:
        return conv.weight
    g, v = g.detach().double(), v.detach().double()
    axes = [axis for axis, size in enumerate(g.shape) if size == 1]
    return (g * v / v.square().sum(axes, keepdim=True).sqrt()).float()
