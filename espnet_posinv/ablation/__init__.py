"""Ablations: a ``grid`` of recipe runs, ``run``, and the ``table`` of their results."""
