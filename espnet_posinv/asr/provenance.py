"""Whether a recogniser took part in the training of the systems it scores, by weights, not by names."""

from collections.abc import Iterable
from pathlib import Path

from espnet_posinv.files import read_json
from espnet_posinv.ssl.marks import SHARED, marks


def parts_in_training(settings: dict, upstreams: Iterable[str]) -> tuple[list[str], list[str]]:
    """Which models in a training's loss share weights with a recogniser, or were taught by its model.

    Args:
        settings: the recogniser's settings in ``decode.json``; ``weights`` are its :func:`marks`.
        upstreams: the models of the loss as in its configuration, like ``whisper:DIR/whisper-tiny.en``.

    Returns:
        Upstreams that share weights with the recogniser, or whose teacher does (a folder's ``config.json``
        names ``teachers`` and has their ``teacher_weights``); and upstreams for which this is unknown, since
        the weights of one side are not here. If both are empty, the recogniser was held out.
    """
    found, unknown = [], []
    for upstream in sorted(set(upstreams)):
        answers = [_same(settings, marks(upstream), _name(upstream))]
        config = Path(upstream.partition(":")[2]) / "config.json"
        values = read_json(config) if config.is_file() else {}
        for teacher in values.get("teachers", []):
            answers.append(_same(settings, values.get("teacher_weights"), teacher))
        if True in answers:
            found.append(upstream)
        elif None in answers:
            unknown.append(upstream)
    return found, unknown


def _same(settings: dict, theirs: list[str] | None, name: str) -> bool | None:
    """Whether a recogniser and a model share weights; None: unknown."""
    own = settings.get("weights")
    if own and theirs:
        return len(set(own) & set(theirs)) >= SHARED
    names = {_name(f"x:{settings.get('model', '')}"), _name(settings.get("upstream") or "")} - {""}
    return True if name in names else None


def _name(upstream: str) -> str:
    return Path(upstream.partition(":")[2]).name
