"""Data directories from corpora and recordings, from disk or from where they are published.

``librispeech`` and ``demand`` are published corpora, downloaded by ``download``; ``wav_folder`` is a corpus
of your own; ``mix`` adds noise. ``fetch`` gets the archives of ``catalogue`` from Debian's and Python's
registries, ``models`` the models among them. ``mini_debian`` is the corpus of egs2/mini_debian, made from
``prompts`` (``asterisk``, ``fillets``) and ``noises``; ``membership`` divides it into sets.
``amazon_queen`` has more English speech, without transcripts.
"""
