"""Position-invariant fine-tuning of speech enhancement models with SSL representations (arXiv 2601.21084).

Names are imported at their first use, so importing the package takes no time.

>>> import torch
>>> from espnet_posinv import SSLSoftDTWLoss, load_encoder
>>> clean = torch.sin(torch.arange(16000.0) ** 2 / 4e5)[None]  # (B, T), 16 kHz
>>> encoder = load_encoder("transformers:egs2/mini_debian/ssl1/mini_hubert")
>>> encoder(clean)[1]  # number of frames
tensor([49])
>>> criterion = SSLSoftDTWLoss("transformers:egs2/mini_debian/ssl1/mini_hubert", speeds=[1.0])
>>> bool(criterion(clean, clean).abs() < 1e-6)
True
"""

from importlib import import_module
from typing import TYPE_CHECKING

from espnet_posinv import espnet_compat, no_downloads

if TYPE_CHECKING:
    from espnet_posinv.criterions.ssl_mse import SSLMSELoss
    from espnet_posinv.criterions.ssl_mse_pad import SSLMSEPadLoss
    from espnet_posinv.criterions.ssl_sinkhorn import SSLSinkhornLoss
    from espnet_posinv.criterions.ssl_softdtw import SSLSoftDTWLoss
    from espnet_posinv.enh.enhancer import Enhancer
    from espnet_posinv.softdtw import soft_alignment, soft_dtw, soft_dtw_divergence
    from espnet_posinv.ssl import load_encoder

__version__ = "0.1.0"
__all__ = [
    "Enhancer",
    "SSLMSELoss",
    "SSLMSEPadLoss",
    "SSLSinkhornLoss",
    "SSLSoftDTWLoss",
    "load_encoder",
    "soft_alignment",
    "soft_dtw",
    "soft_dtw_divergence",
]

_MODULES = {
    "SSLMSELoss": "criterions.ssl_mse",
    "SSLMSEPadLoss": "criterions.ssl_mse_pad",
    "SSLSoftDTWLoss": "criterions.ssl_softdtw",
    "SSLSinkhornLoss": "criterions.ssl_sinkhorn",
    "Enhancer": "enh.enhancer",
    "load_encoder": "ssl",
    "soft_dtw": "softdtw",
    "soft_dtw_divergence": "softdtw",
    "soft_alignment": "softdtw",
}

no_downloads.install()


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        if name != "Enhancer":
            raise
        hint = f"Enhancer needs ESPnet ({error}): pip install 'espnet_posinv[espnet]'"
        raise ModuleNotFoundError(hint, name=error.name) from None


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def _register() -> None:
    from espnet_posinv.enh.register import register

    register()


# So that ESPnet can build a trained model whose configuration names one of our separators.
espnet_compat.when_tasks_are_imported(_register)
