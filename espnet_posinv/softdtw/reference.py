"""The definition of soft-DTW, in float64 and plain loops; all faster kernels are tested against it.

For a cost matrix D (N, M) and gamma > 0 (Cuturi & Blondel, arXiv 1703.01541, eq. 1 and algorithm 1)

    R[i,j] = D[i,j] + softmin(R[i-1,j-1], R[i-1,j], R[i,j-1]),     R[-1,-1] = 0, R = +inf elsewhere outside,
    softmin(a) = -gamma log sum_k exp(-a_k / gamma),

and the loss is R[N-1,M-1].  Its gradient E = dR[N-1,M-1] / dD runs the recurrence backwards with the weights
w_k = exp(-a_k / gamma) / sum_l exp(-a_l / gamma), the derivatives of softmin (algorithm 2):

    E[i,j] = w_diag[i+1,j+1] E[i+1,j+1] + w_up[i+1,j] E[i+1,j] + w_left[i,j+1] E[i,j+1],  E[N-1,M-1] = 1.

E[i,j] is the probability that a random alignment path passes through cell (i, j).  The weights are stored in
the forward pass: recomputed from R, as algorithm 2 is usually written, they would lose as many digits as R /
gamma has before its decimal point.
"""

import math

import numpy as np

from espnet_posinv.softdtw.compiled import compiled


@compiled()
def row_interval(i, n, m, band, symmetric):
    """First and last column of row i that a path may use, for an (n, m) problem.

    The Sakoe-Chiba band is measured in frames of the shorter sequence around the straight line from corner
    to corner: |i (m-1) - j (n-1)| <= max(band, 1/2) (max(n, m) - 1).  For n = m this is |i - j| <= band; for
    n != m every row and column keeps a cell, so a path always remains.  band < 0 means no band.  A symmetric
    problem is solved on and above its diagonal.
    """
    lo, hi = 0, m - 1
    if band >= 0 and n > 1 and m > 1:
        reach = max(2 * band, 1) * (max(n, m) - 1)
        centre = 2 * i * (m - 1)
        lo = max(lo, -((reach - centre) // (2 * (n - 1))))
        hi = min(hi, (centre + reach) // (2 * (n - 1)))
    if symmetric:
        lo = max(lo, i)
    return lo, hi


@compiled()
def forward_backward(cost, n, m, gamma, band, seed, grad):
    """Loss of the leading (n, m) part of `cost` (N, M) float64; `grad` (N, M) becomes `seed` dloss/dcost.

    NaN or -inf among the cells that a path may use makes the loss and the gradient of those cells NaN.  A
    cell of +inf is forbidden; with no path left the loss is +inf and the gradient 0.  Cells outside get 0.
    """
    grad[:, :] = 0.0
    R = np.full((n + 1, m + 1), np.inf)
    R[0, 0] = 0.0
    weights = np.zeros((n + 2, m + 2, 3))
    valid = True
    for i in range(n):
        lo, hi = row_interval(i, n, m, band, False)
        for j in range(lo, hi + 1):
            d = cost[i, j]
            if not d > -np.inf:
                valid = False
            diag, up, left = R[i, j], R[i, j + 1], R[i + 1, j]
            low = min(diag, up, left)
            if d == np.inf or low == np.inf:
                continue
            a = math.exp((low - diag) / gamma)
            b = math.exp((low - up) / gamma)
            c = math.exp((low - left) / gamma)
            total = a + b + c
            R[i + 1, j + 1] = d + (low - gamma * math.log(total))
            weights[i, j, 0], weights[i, j, 1], weights[i, j, 2] = a / total, b / total, c / total
    loss = R[n, m]
    if not valid:
        for i in range(n):
            lo, hi = row_interval(i, n, m, band, False)
            grad[i, lo : hi + 1] = np.nan
        return np.nan
    if loss == np.inf:
        return loss
    E = np.zeros((n + 1, m + 1))
    E[n - 1, m - 1] = seed
    for i in range(n - 1, -1, -1):
        for j in range(m - 1, -1, -1):
            if i < n - 1 or j < m - 1:
                E[i, j] = (
                    E[i + 1, j + 1] * weights[i + 1, j + 1, 0]
                    + E[i + 1, j] * weights[i + 1, j, 1]
                    + E[i, j + 1] * weights[i, j + 1, 2]
                )
            grad[i, j] = E[i, j]
    return loss
