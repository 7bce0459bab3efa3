"""Word, phone and signal scores, with intervals and tests of differences.

``wer`` counts errors of texts, with ``substitutions`` and, for comparison, ``sclite``. ``signal`` computes
the ``metrics`` of many utterances; ``own_process`` protects against a crash of one, ``ssl_similarity`` is a
further one. ``bootstrap`` has the intervals, ``significance`` the tests.
"""
