"""The mini HuBERT: transformers' HubertModel, narrow, with the head of masked prediction."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy, max_pool1d, normalize
from transformers import HubertConfig, HubertModel

HOP, WINDOW = 320, 400  # samples between frames and seen by one frame of the convolutions, 16 kHz
TEMPERATURE = 0.1  # of the cosine logits (arXiv 2106.07447, eq. 3)
MASK_SPAN, MASK_START = 10, 0.08  # frames; probability that a span begins at a frame: about half is masked


def mini_config(layers: int = 6, width: int = 256) -> HubertConfig:
    """Configuration of a model with 5.6 M parameters (at 6 layers of 256).

    Unlike HuBERT-BASE, the first convolution has LayerNorm over channels in place of GroupNorm over time and
    the input is not normalised, so a frame depends on nothing but its own window and what attention looks
    at: no statistic of the whole utterance changes when zeros are put before or after it.
    """
    return HubertConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        intermediate_size=4 * width,
        conv_dim=(96, 128, 192, 192, 192, 192, 192),
        conv_bias=True,
        feat_extract_norm="layer",
        feat_proj_layer_norm=True,
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=64,
        num_conv_pos_embedding_groups=16,
        hidden_dropout=0.05,
        attention_dropout=0.05,
        activation_dropout=0.0,
        feat_proj_dropout=0.05,
        layerdrop=0.0,
        mask_time_length=MASK_SPAN,
        mask_feature_prob=0.0,
    )


class MaskedPrediction(nn.Module):
    """HuBERT and its head: the cluster of each frame is predicted from what is not masked."""

    def __init__(self, config: HubertConfig, clusters: int):
        super().__init__()
        self.hubert = HubertModel(config)
        self.project = nn.Linear(config.hidden_size, config.hidden_size)
        self.codes = nn.Parameter(torch.randn(clusters, config.hidden_size))

    def forward(self, wav: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor, unmasked: float = 0.0):
        """Cross-entropy L_m + unmasked L_u (section 3.2 of the paper), and the share of hits under the mask.

        Args:
            wav: `(B, T)` float32, no padding.
            labels: `(B, N)` int64, clusters.
            mask: `(B, N)` bool.
            unmasked: weight of the frames that are not masked.

        Returns:
            Loss in nats, each part a mean over its frames, and the share of masked frames predicted right.
        """
        hidden = self.hubert(wav, mask_time_indices=mask).last_hidden_state
        loss, logits = self._cross_entropy(hidden[mask], labels[mask])
        hits = (logits.argmax(-1) == labels[mask]).float().mean()
        if unmasked:
            loss = loss + unmasked * self._cross_entropy(hidden[~mask], labels[~mask])[0]
        return loss, hits

    def _cross_entropy(self, hidden, target):
        hidden = normalize(self.project(hidden).float(), dim=-1)
        logits = hidden @ normalize(self.codes.float(), dim=-1).T / TEMPERATURE
        return cross_entropy(logits, target), logits


def draw_mask(batch: int, frames: int, generator: torch.Generator, device: torch.device) -> torch.Tensor:
    """Mask `(batch, frames)`: spans of 10 frames, begun at each with probability 0.08, may overlap."""
    start = (torch.rand(batch, frames, generator=generator, device=device) < MASK_START).float()
    # A frame is masked when a span began at it or at one of the 9 before it.
    padded = nn.functional.pad(start, (MASK_SPAN - 1, 0))
    return max_pool1d(padded[:, None], MASK_SPAN, stride=1)[:, 0] > 0
