"""Self-supervised pretraining of a small HuBERT (arXiv 2106.07447) on clusters of a teacher's features."""
