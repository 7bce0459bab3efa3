"""Studies of a frozen encoder: how much of a loss on its features is position, and how good the features are.

``probe`` measures with ``hidden`` (hidden states, segments of speech), ``position``, ``layers`` and
``exploit``; ``report`` makes tables and curves. ``ssl_quality`` compares features with log-mel and MFCC.
"""
