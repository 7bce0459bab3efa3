"""Training criterions on representations of frozen encoders, for ESPnet2's enhancement task."""
