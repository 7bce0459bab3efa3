"""Everything is in pyproject.toml; this serves tools that still call setup.py."""

from setuptools import setup

setup()
