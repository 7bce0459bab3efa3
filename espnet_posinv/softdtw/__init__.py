"""Soft dynamic time warping: exact gradients, any length, CPU and CUDA (needs torch and numba only).

    from espnet_posinv.softdtw import soft_alignment, soft_dtw, soft_dtw_divergence

    loss = soft_dtw_divergence(x, y, gamma=0.1)  # frames (B, N, D), (B, M, D) -> (B,), smallest (0) for x = y
    loss = soft_dtw(x, y, x_lengths=n, y_lengths=m)  # a padded batch; the padding is not read
    loss = soft_dtw(cost=costs, band=20)  # your own costs (B, N, M), within a band around the diagonal
    E = soft_alignment(x, y)[0]  # (N, M), the expected alignment: plt.imshow(E)

README.md in this folder explains the modules.
"""

from espnet_posinv.softdtw.functional import soft_alignment, soft_dtw, soft_dtw_divergence

__all__ = ["soft_alignment", "soft_dtw", "soft_dtw_divergence"]
