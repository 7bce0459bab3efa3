"""Frozen speech encoders whose features do not depend on the rest of the batch."""

from espnet_posinv.ssl.encoder import SSLEncoder
from espnet_posinv.ssl.load import load_encoder

__all__ = ["SSLEncoder", "load_encoder"]
