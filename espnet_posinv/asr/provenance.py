"""Whether a recogniser had a part in the training of what it judges."""

from collections.abc import Iterable
from pathlib import Path


def parts_in_training(settings: dict, upstreams: Iterable[str]) -> list[str]:
    """Those models of a training's loss that a recogniser is built on; none: it was held out.

    Args:
        settings: what ``decode.json`` says of the recogniser: its model's name, and the SSL model below a
            CTC head (``upstream``).
        upstreams: the models of the loss as in its configuration, like ``whisper:DIR/whisper-tiny.en``.

    Returns:
        The upstreams whose name (the last part of the path or of the hub's name) is the recogniser's.
    """
    own = {_name(f"x:{settings['model']}")} if settings.get("model") else set()
    if settings.get("upstream"):
        own.add(_name(settings["upstream"]))
    return sorted({upstream for upstream in upstreams if _name(upstream) in own})


def _name(upstream: str) -> str:
    return Path(upstream.partition(":")[2]).name
