"""Real recordings and pretrained weights that install from package registries."""
