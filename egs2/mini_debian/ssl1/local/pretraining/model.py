"""The mini HuBERT: transformers' HubertModel, narrow, with the head of masked prediction."""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import HubertConfig, HubertModel

HOP, WINDOW = 320, 400  # samples between frames and seen by one frame of the convolutions, 16 kHz
TEMPERATURE = 0.1  # of the cosine logits (arXiv 2106.07447, eq. 3)
MASK_SPAN, MASK_START = 10, 0.08  # frames; probability that a span begins at a frame: about half is masked


def mini_config(layers: int = 6, width: int = 256) -> HubertConfig:
    """Configuration of a model with 6.3 M parameters (at 6 layers of 256).

    Unlike HuBERT-BASE, the first convolution has LayerNorm over channels in place of GroupNorm over time and
    the input is not normalised, so a frame depends on nothing but its own window and what attention looks
    at: no statistic of the whole utterance changes when zeros are put before or after it.

    The position convolution reaches 128 frames to each side, twice as far as HuBERT-BASE's: it is all that
    can tell a frame's place, by the zeros behind the ends of an utterance.
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
        num_conv_pos_embeddings=256,
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
    """HuBERT and its head: the cluster of each frame is predicted from what is not masked.

    Args:
        config: of the HuBERT.
        clusters: how many.
        places: if not 0, the index of each frame, below `places`, can be predicted as well, from the same
            vector.
    """

    def __init__(self, config: HubertConfig, clusters: int, places: int = 0):
        super().__init__()
        self.hubert = HubertModel(config)
        self.project = nn.Linear(config.hidden_size, config.hidden_size)
        self.codes = nn.Parameter(torch.randn(clusters, config.hidden_size))
        self.places = nn.Parameter(torch.randn(places, config.hidden_size)) if places else None

    def forward(self, wav: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor, place_weight: float = 0.0):
        """Cross-entropy L_m + L_u (section 3.2 of the paper), and the share of hits under the mask.

        Args:
            wav: `(B, T)` float32, zeros behind each utterance.
            labels: `(B, N)` int64, clusters; -1 behind the utterance.
            mask: `(B, N)` bool.
            place_weight: of the index's cross-entropy, which is added to the cluster's.

        Returns:
            Loss in nats, each part a mean over its frames, and the share of masked frames whose cluster is
            predicted right.
        """
        inside = labels >= 0
        hidden = F.normalize(self.project(self.hidden(wav, mask, inside)).float(), dim=-1)
        logits = hidden @ F.normalize(self.codes.float(), dim=-1).T / TEMPERATURE
        each = F.cross_entropy(logits.transpose(1, 2), labels, ignore_index=-1, reduction="none")
        if place_weight:
            place = torch.arange(labels.shape[1], device=labels.device).expand_as(labels)
            by_place = hidden @ F.normalize(self.places.float(), dim=-1).T / TEMPERATURE
            each = each + place_weight * F.cross_entropy(by_place.transpose(1, 2), place, reduction="none")
        # Sums over all frames: to pick frames by a mask, a GPU waits for the CPU
        masked, open_ = (inside & m for m in (mask, ~mask))
        loss = sum((each * m).sum() / m.sum().clamp_min(1) for m in (masked, open_))
        hits = ((logits.argmax(-1) == labels) & masked).sum() / masked.sum()
        return loss, hits

    def hidden(self, wav: torch.Tensor, mask: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """Last hidden state `(B, N, D)`: what `HubertModel` computes, in less time on a GPU.

        cuDNN is slow where channels are few or grouped. The convolutions are therefore products of blocks of
        the signal with channels innermost, and the position convolution is a product of spectra.
        """
        x = wav[..., None]
        for layer in self.hubert.feature_extractor.conv_layers:
            x = convolve(layer.conv, x)
            with torch.autocast(x.device.type, enabled=False):  # which would make it float32
                norm = layer.layer_norm
                x = F.layer_norm(x, x.shape[-1:], norm.weight.to(x), norm.bias.to(x), norm.eps)
            x = F.gelu(x)
        x = self.hubert.feature_projection(x)
        x = torch.where(mask[..., None], self.hubert.masked_spec_embed.to(x), x) * inside[..., None]
        encoder = self.hubert.encoder
        x = encoder.dropout(x + F.gelu(far(encoder.pos_conv_embed.conv, x.transpose(1, 2)).transpose(1, 2)))
        keys = inside[:, None, None, :]
        for block in encoder.layers:
            x = block(x, attention_mask=keys)
            x = x[0] if isinstance(x, tuple) else x  # transformers before 5.2x
        return encoder.layer_norm(x)


def far(conv: nn.Conv1d, x: torch.Tensor) -> torch.Tensor:
    """A long grouped convolution `(B, C, N)` with zeros around, N frames, by FFT in float32."""
    with torch.autocast(x.device.type, enabled=False):
        length = x.shape[-1] + conv.kernel_size[0]
        length += length % 2
        signal = torch.fft.rfft(x.float(), length).unflatten(1, (conv.groups, -1))
        kernel = torch.fft.rfft(conv.weight.float(), length).conj().unflatten(0, (conv.groups, -1))
        y = torch.fft.irfft(torch.einsum("bgif,goif->bgof", signal, kernel), length).flatten(1, 2)
        # A correlation on a circle: what precedes the start is at the end
        return y.roll(conv.kernel_size[0] // 2, -1)[..., : x.shape[-1]] + conv.bias.float()[:, None]


def convolve(conv: nn.Conv1d, x: torch.Tensor) -> torch.Tensor:
    """`conv` without padding of `(B, T, C)`, as products of blocks of `stride` frames: `(B, N, C')`."""
    (size,), (stride,), channels = conv.kernel_size, conv.stride, x.shape[-1]
    count = (x.shape[1] - size) // stride + 1
    blocks = F.pad(x, (0, 0, 0, -x.shape[1] % stride)).view(len(x), -1, stride * channels)
    weight = conv.weight.permute(2, 1, 0).reshape(size * channels, -1)
    parts = enumerate(weight.split(stride * channels))
    y = sum(blocks[:, i : i + count, : len(part)] @ part for i, part in parts)
    return y + conv.bias.to(y)  # in y's precision


def draw_mask(batch: int, frames: int, generator: torch.Generator, device: torch.device) -> torch.Tensor:
    """Mask `(batch, frames)`: spans of 10 frames, begun at each with probability 0.08, may overlap."""
    start = (torch.rand(batch, frames, generator=generator, device=device) < MASK_START).float()
    # A frame is masked when a span began at it or at one of the 9 before it.
    padded = F.pad(start, (MASK_SPAN - 1, 0))
    return F.max_pool1d(padded[:, None], MASK_SPAN, stride=1)[:, 0] > 0
