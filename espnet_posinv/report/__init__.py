"""An experiment as data, and RESULTS.md and report.html made of it.

``experiment`` reads it, with ``systems`` (criterion, encoder, baseline of each), ``scores`` and ``training``.
``tables``, ``listen`` and ``alignment`` make what is shown; ``document`` has the classes for it, which
studies use too. ``markdown`` and ``html`` render it, with ``figures`` and ``media``.
"""
