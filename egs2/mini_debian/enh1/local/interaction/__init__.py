"""Does alignment gain more where the encoder is positional? Criterions x encoders x seeds, on a GPU."""
