"""Perturbations of waveforms: noise, padding, speed and tempo."""
