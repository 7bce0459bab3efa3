"""Ablations: grids of recipe runs and their table."""
