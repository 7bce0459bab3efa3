"""Self-supervised pretraining of a small HuBERT (arXiv 2106.07447)."""
