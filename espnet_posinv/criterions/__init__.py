"""Training criterions on features of frozen encoders, and their registry.

A new criterion needs a module here, a line in `CLASSES`, and a test. Modules are imported at their first use.
"""

from importlib import import_module

CLASSES = {  # by module; tables and figures keep this order
    "ssl_mse": "SSLMSELoss",
    "ssl_mse_pad": "SSLMSEPadLoss",
    "ssl_softdtw": "SSLSoftDTWLoss",
    "ssl_sinkhorn": "SSLSinkhornLoss",
}
PAPER = ("ssl_mse", "ssl_mse_pad", "ssl_softdtw")  # of arXiv 2601.21084; they need no further package


def criterion_class(name: str) -> type:
    """The subclass of :class:`espnet_posinv.criterions.base.SSLLoss` of this name.

    Raises:
        ValueError: there is none.

    Example:
        >>> criterion_class("ssl_mse").__name__
        'SSLMSELoss'
    """
    if name not in CLASSES:
        raise ValueError(f"criterion {name!r}: one of {', '.join(CLASSES)}")
    return getattr(import_module(f"{__name__}.{name}"), CLASSES[name])
