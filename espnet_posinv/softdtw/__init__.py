"""Soft dynamic time warping: exact gradients, any length, CPU and CUDA (needs torch and numba only)."""

from espnet_posinv.softdtw.functional import SoftDTW, soft_alignment, soft_dtw, soft_dtw_divergence

__all__ = ["SoftDTW", "soft_alignment", "soft_dtw", "soft_dtw_divergence"]
