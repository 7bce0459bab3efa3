"""Preparation of published corpora, from their own layouts on disk or from where they are published."""
