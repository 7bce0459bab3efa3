"""Pictures and audio within a page, as data URIs: SVG in the page's colours, spectrograms, audio."""

import base64
import io
import re
from collections.abc import Callable
from html import escape

import numpy as np

from espnet_posinv.report.figures import COLOURS, pyplot
from espnet_posinv.sample_rate import SAMPLE_RATE

INK = "#131415"  # of drawings; replaced by the colour of the page's text
VARIABLES = {INK: "currentColor", "#dddddd": "var(--line)"} | {
    colour.lower(): f"var(--{name})" for name, colour in COLOURS.items()
}
WINDOW, HOP = 512, 100  # samples
RANGE = 75.0  # dB of the colour scale


def themed_svg(name: str, label: str, draw: Callable, size: tuple[float, float] = (4.2, 2.7)) -> str:
    """An inline SVG with the colours of the page, light or dark.

    Args:
        name: a unique word on the page, prefix of the SVG's ids.
        label: for screen readers.
        draw: called with matplotlib's axes.
        size: in inches; determines proportions and text size.
    """
    plt = pyplot()
    ink = dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
    )
    options = {"svg.fonttype": "none", "svg.hashsalt": name, "svg.image_inline": True, "font.size": 9}
    with plt.rc_context(ink | options):
        figure, axis = plt.subplots(figsize=size, layout="constrained")
        draw(axis)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True)
        plt.close(figure)
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(
        r'<svg [^>]*viewBox="([^"]*)"[^>]*>',
        rf'<svg viewBox="\1" role="img" aria-label="{escape(label)}">',
        svg,
    )
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(|xlink:href=")#', rf"\1#{name}-", svg).replace("xlink:href", "href")
    return re.sub(r"#[0-9a-f]{6}\b", lambda match: VARIABLES.get(match[0], match[0]), svg)


def audio_uri(samples: np.ndarray) -> str:
    """Lossless FLAC of (T,) at 16 kHz in [-1, 1]."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(samples, -1, 1), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return data_uri("audio/flac", buffer.getvalue())


def level(samples: np.ndarray) -> float:
    """Level of the loudest point of the spectrogram of (T,), dB."""
    return float(_decibels(samples).max())


def spectrogram_uri(samples: np.ndarray, top: float) -> str:
    """Spectrogram of (T,), 0 to 8 kHz upwards, from `top` dB down to `RANGE` below."""
    import matplotlib
    from PIL import Image

    shade = np.clip((_decibels(samples) - top) / RANGE + 1, 0, 1)
    pixels = matplotlib.colormaps["magma"](shade[::-1], bytes=True)[..., :3]
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="WEBP", quality=75, method=6)
    return data_uri("image/webp", buffer.getvalue())


def _decibels(samples: np.ndarray) -> np.ndarray:
    """(bands, frames)"""
    padded = np.pad(samples, WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW))).T ** 2
    # Pairs of bands, 62.5 Hz: one for each pixel.
    return 10 * np.log10(power[:-1].reshape(WINDOW // 4, 2, -1).mean(1) + 1e-9)


def data_uri(kind: str, data: bytes) -> str:
    """Bytes as an address; `kind` like ``image/png``."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
