"""Soft dynamic time warping: exact gradients, any length, CPU and CUDA (needs torch and numba only).

    from espnet_posinv.softdtw import SoftDTW, soft_alignment, soft_dtw, soft_dtw_divergence

    loss = soft_dtw_divergence(x, y, gamma=0.1)  # frames (B, N, D), (B, M, D) -> (B,), smallest (0) for x = y
    loss = soft_dtw(x, y, x_lengths=n, y_lengths=m)  # a padded batch: its padding is neither read nor changed
    loss = soft_dtw(cost=costs, band=20)  # your own costs (B, N, M), near the diagonal only
    E = soft_alignment(x, y)[0]  # (N, M), where x_i and y_j meet: plt.imshow(E)

README.md beside this file says how to read the modules.
"""

from espnet_posinv.softdtw.functional import SoftDTW, soft_alignment, soft_dtw, soft_dtw_divergence

__all__ = ["SoftDTW", "soft_alignment", "soft_dtw", "soft_dtw_divergence"]
