"""Studies of a frozen encoder: is its loss positional, and what are its features good for?

``probe`` measures with ``hidden`` (states and stretches of speech), ``position``, ``layers`` and ``exploit``;
``report`` makes tables and curves of it. ``ssl_quality`` compares features with log-mel and MFCC.
"""
