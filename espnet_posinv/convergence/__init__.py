"""How fast fine-tunings converge, measured on every checkpoint."""
