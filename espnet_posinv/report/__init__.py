"""The results of an experiment as data, and RESULTS.md and report.html made from them.

``experiment`` reads the results, with ``systems`` (criterion, encoder, baseline of each), ``scores`` and
``training``. ``word_tables``, ``tables``, ``listen`` and ``alignment`` make the contents, of the classes in
``document``, which the studies use too. ``markdown`` and ``html`` render them, with ``figures`` and
``media``.
"""
