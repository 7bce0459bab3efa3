"""How fast fine-tunings converge: ``measure`` checkpoints, ``summary`` of gains and times, ``report``."""
