"""Enhancement: ESPnet's tasks and trainer with our criterions, our separators, `Enhancer` for inference."""
