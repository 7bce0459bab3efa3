"""Speech recognisers with one interface, from a wav.scp to a Kaldi ``text``.

A back end is a frozen dataclass of its settings (:class:`~espnet_posinv.asr.decode.Recogniser`); it can be
sent to other processes, each of which loads the model once. To add one, write such a class into one file
that ends with ``RECOGNISER = TheClass``: ``--backend my.module`` finds it (see ``backend.py``).
"""
