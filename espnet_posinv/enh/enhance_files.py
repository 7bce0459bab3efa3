"""Enhance recordings on disk."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from espnet_posinv.enh.enhancer import Enhancer
from espnet_posinv.files import replacing
from espnet_posinv.kaldi.audio import read_channel
from espnet_posinv.kaldi.scp import read_scp, write_scp


def enhance_files(
    enhancer: Enhancer, inputs: Sequence[str | Path], output: str | Path, *, wet: float = 1.0
) -> Path:
    """Enhance recordings one after another; 16-bit WAV files at the sample rate of the originals.

    Args:
        enhancer: the model.
        inputs: audio files, or one wav.scp.
        output: folder for ``NAME.wav`` and ``wav.scp``.
        wet: see :meth:`Enhancer.__call__`.

    Returns:
        The path of the new wav.scp.

    Raises:
        ValueError: a recording that cannot be read, is empty, has several channels or is not finite.
    """
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    recordings = named_recordings(inputs)
    for name, path in recordings.items():
        target = output / f"{name}.wav"
        wav, rate = read_channel(path)
        try:
            (enhanced,) = enhancer([wav], rate, wet=wet)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        clipped = int((np.abs(enhanced) > 1).sum())
        if clipped:
            logging.warning(f"{target}: {clipped} samples beyond full scale were clipped")
        with replacing(target) as temporary:
            soundfile.write(temporary, np.clip(enhanced, -1, 1), rate, subtype="PCM_16", format="WAV")
        print(f"{path} -> {target}", flush=True)
    scp = output / "wav.scp"
    write_scp(scp, {name: f"{output / name}.wav" for name in recordings})
    return scp


def named_recordings(inputs: Sequence[str | Path]) -> dict[str, str]:
    """``{name: path}``: the keys of a wav.scp, or the stems of audio files.

    Raises:
        ValueError: two files of one name, or a wav.scp with a pipe.
    """
    if len(inputs) == 1 and Path(inputs[0]).suffix == ".scp":
        recordings = read_scp(inputs[0])
        for name, path in recordings.items():
            if path.endswith("|"):
                raise ValueError(f"{inputs[0]}: {name} is a pipe; format the audio first (stage 3)")
        return recordings
    recordings = {}
    for path in map(Path, inputs):
        if path.stem in recordings:
            raise ValueError(f"{path} and {recordings[path.stem]} would both become {path.stem}.wav")
        recordings[path.stem] = str(path)
    return recordings
