"""How fast fine-tunings converge: ``measure`` every checkpoint, ``summary`` of gains and times, ``report``."""
