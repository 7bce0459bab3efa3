"""Soft-DTW alignments of each version of an utterance with the clean speech at another speed."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from espnet_posinv.report.experiment import Experiment
from espnet_posinv.report.figures import COLOURS
from espnet_posinv.report.listen import Utterance
from espnet_posinv.report.media import INK, themed_svg

SPEED = 0.9
NEAR = 3  # frames


class Alignments(NamedTuple):
    """One panel for each version: name, drawing, loss, share of the alignment near the true position.

    `error` is the message if the encoder of the training cannot be loaded.
    """

    example: Utterance
    speed: float = SPEED
    near: int = NEAR
    encoder: str = ""
    gamma: float = 0.0
    panels: tuple = ()
    error: str = ""


def alignments(experiment: Experiment, example: Utterance) -> Alignments | None:
    """Alignments by the first system with ssl_softdtw; None if there is none."""
    system = next((s for s in experiment.systems.values() if s.criterion == "ssl_softdtw"), None)
    if system is None:
        return None
    from espnet_posinv.criterions.ssl_softdtw import SSLSoftDTWLoss

    panels = []
    try:
        criterion = SSLSoftDTWLoss(**system.loss["conf"])
        for k, (name, signal) in enumerate(example.signals.items()):
            path, loss, near = align(criterion, example.signals["clean"], signal, SPEED)
            label = f"Alignment of {name} with clean speech at speed {SPEED:g}"
            draw = partial(draw_alignment, path=path, speed=SPEED)
            panels.append((name, Markup(themed_svg(f"align{k}", label, draw, (3.0, 2.8))), loss, near))
    except (
        ValueError,
        OSError,
    ) as error:  # the encoder may have been moved; the page is made without alignments
        return Alignments(example, error=str(error))
    encoder, gamma = Path(criterion.upstream).name, criterion.softdtw_options["gamma"]
    return Alignments(example, encoder=encoder, gamma=gamma, panels=tuple(panels))


def align(criterion, clean: np.ndarray, signal: np.ndarray, speed: float) -> tuple[np.ndarray, float, float]:
    """Align a signal (T,) by soft-DTW with the clean speech (T,) at another speed, both at 16 kHz.

    Returns:
        Expected alignment (N, M); the criterion's value for this speed; the share of the alignment within
        `NEAR` frames of the true position.
    """
    import torch

    from espnet_posinv.perturb.speed import change_speed

    with torch.no_grad():
        wav = torch.from_numpy(np.stack([signal, clean]).astype(np.float32))
        lengths = torch.tensor([wav.shape[1]])
        moved, moved_lengths = change_speed(wav[1:], lengths, [speed])
        encoder = criterion.encoder(wav.device)
        (x, n), (y, m) = encoder(wav[:1], lengths), encoder(moved, moved_lengths)
        loss = float(criterion.compare(x, y, n, m))
        path = criterion.align(x, y, n, m)[0].double().numpy()
    i, j = np.indices(path.shape)
    return path, loss, float(path[np.abs(j - i / speed) <= NEAR].sum() / path.sum())


def draw_alignment(axis, path: np.ndarray, speed: float) -> None:
    """The expected alignment, and the true position as a dashed line."""
    colour = tuple(int(COLOURS["ssl_softdtw"][k : k + 2], 16) for k in (1, 3, 5))
    pixels = np.zeros((*path.T.shape, 4), np.uint8)
    pixels[..., :3] = colour
    pixels[..., 3] = 255 * np.sqrt(np.clip(path.T, 0, 1))
    axis.imshow(pixels, origin="lower", aspect="auto", interpolation="nearest")
    ends = np.array([0, min(path.shape[0] - 1, (path.shape[1] - 1) * speed)])
    axis.plot(ends, ends / speed, "--", color=INK, lw=0.8, alpha=0.7)
    axis.set_xlabel("frame")
    axis.set_ylabel(f"frame of clean speech at speed {speed:g}")
    axis.spines[["top", "right"]].set_visible(False)
