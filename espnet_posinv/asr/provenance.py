"""Whether a recogniser had a part in the training of what it judges."""

import json
from collections.abc import Iterable
from pathlib import Path


def parts_in_training(settings: dict, upstreams: Iterable[str]) -> list[str]:
    """Those models of a training's loss that a recogniser is built on; none: it was held out.

    Args:
        settings: what ``decode.json`` says of the recogniser: its model's name, and the SSL model below a
            CTC head (``upstream``).
        upstreams: the models of the loss as in its configuration, like ``whisper:DIR/whisper-tiny.en``.

    Returns:
        The upstreams whose name (the last part of the path or of the hub's name) is the recogniser's, and
        those that it taught: ``teachers`` in a folder's ``config.json`` lists names.
    """
    own = {_name(f"x:{settings['model']}")} if settings.get("model") else set()
    if settings.get("upstream"):
        own.add(_name(settings["upstream"]))
    return sorted({upstream for upstream in upstreams if own & {_name(upstream), *_teachers(upstream)}})


def _name(upstream: str) -> str:
    return Path(upstream.partition(":")[2]).name


def _teachers(upstream: str) -> list[str]:
    config = Path(upstream.partition(":")[2]) / "config.json"
    return json.loads(config.read_text(encoding="utf-8")).get("teachers", []) if config.is_file() else []
