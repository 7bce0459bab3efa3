"""Read any recording as 16 kHz mono."""

from pathlib import Path

import av
import numpy as np

from espnet_posinv.sample_rate import SAMPLE_RATE


def read_audio(path: str | Path, seconds: float = float("inf")) -> np.ndarray:
    """Samples `(T,)` float32 in [-1, 1], 16 kHz, channels averaged; any format that FFmpeg knows.

    Args:
        path: of the recording.
        seconds: no more than these are read.

    Raises:
        ValueError: the file has no audio, or cannot be decoded.
    """
    # Raw G.722 has no header that names it
    form = "g722" if str(path).endswith(".g722") else None
    blocks, count = [], 0
    try:
        with av.open(str(path), format=form) as container:
            if not container.streams.audio:
                raise ValueError(f"{path}: no audio stream")
            resampler = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE)
            for frame in container.decode(audio=0):
                seen = len(blocks)
                blocks += [f.to_ndarray()[0] for f in resampler.resample(frame)]
                count += sum(map(len, blocks[seen:]))
                if count >= seconds * SAMPLE_RATE:
                    break
            if blocks:
                blocks += [f.to_ndarray()[0] for f in resampler.resample(None)]
    except av.FFmpegError as error:
        raise ValueError(f"{path}: cannot be decoded: {error}") from None
    if not blocks:
        raise ValueError(f"{path}: no samples in it")
    return np.concatenate(blocks)[: round(seconds * SAMPLE_RATE) if seconds < float("inf") else None]
