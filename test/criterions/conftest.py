"""A tiny HuBERT folder, enough for every criterion."""

import pytest


@pytest.fixture(scope="session")
def upstream(random_hubert):
    return random_hubert(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    )
