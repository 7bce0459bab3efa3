"""Position-invariant fine-tuning of speech enhancement models with SSL representations (arXiv 2601.21084)."""

from espnet_posinv import no_downloads

__version__ = "0.1.0"

no_downloads.install()


def __getattr__(name: str):
    # imported on demand: the package itself costs nothing
    if name == "Enhancer":
        from espnet_posinv.enh.enhancer import Enhancer

        return Enhancer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
