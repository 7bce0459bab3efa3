"""A tiny HuBERT folder, enough for every criterion."""

import pytest
import torch


@pytest.fixture(scope="session")
def upstream(tmp_path_factory):
    from transformers import HubertConfig, HubertModel

    torch.manual_seed(0)
    model = HubertModel(
        HubertConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=48,
            conv_dim=(16,) * 7,
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=4,
        )
    )
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn_like(p)
    path = tmp_path_factory.mktemp("hubert")
    model.save_pretrained(path)
    return f"transformers:{path}"
