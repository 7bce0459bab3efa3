"""Read any recording as 16 kHz mono."""

from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

from espnet_posinv.sample_rate import SAMPLE_RATE


def read_audio(
    source: str | Path | BinaryIO, seconds: float = float("inf"), form: str | None = None
) -> np.ndarray:
    """Samples `(T,)` float32 in [-1, 1], 16 kHz, channels averaged; any format that FFmpeg knows.

    Args:
        source: path of the recording, or an open file.
        seconds: read at most this much.
        form: FFmpeg's name of the format, if it cannot be detected.

    Raises:
        ValueError: the file has no audio, or cannot be decoded.
    """
    name = str(source)
    form = "g722" if name.endswith(".g722") else form  # raw G.722 has no header
    blocks, count = [], 0
    try:
        with av.open(name if isinstance(source, str | Path) else source, format=form) as container:
            if not container.streams.audio:
                raise ValueError(f"{name}: no audio stream")
            resampler = av.AudioResampler("fltp", "mono", SAMPLE_RATE, frame_size=SAMPLE_RATE)
            frame = None
            for frame in container.decode(audio=0):
                seen = len(blocks)
                blocks += [f.to_ndarray()[0] for f in resampler.resample(frame)]
                count += sum(map(len, blocks[seen:]))
                if count >= seconds * SAMPLE_RATE:
                    break
            if frame is not None:
                blocks += [f.to_ndarray()[0] for f in resampler.resample(None)]
    except av.FFmpegError as error:
        raise ValueError(f"{name}: cannot be decoded: {error}") from None
    if not blocks:
        raise ValueError(f"{name}: no samples in it")
    return np.concatenate(blocks)[: round(seconds * SAMPLE_RATE) if seconds < float("inf") else None]
