"""The position probe: how much of a loss on a frozen encoder's features is due to position.

``probe`` measures with ``hidden`` (hidden states, segments of speech), ``position``, ``layers`` and
``exploit``; ``report`` makes tables and curves. ``logmel`` is the baseline without an encoder.
"""
