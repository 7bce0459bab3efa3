"""Stages, configurations, checks and progress lines of the recipes."""
