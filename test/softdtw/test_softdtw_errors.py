"""What makes no sense raises, with the value named."""

import pytest
import torch

from espnet_posinv.softdtw import soft_alignment, soft_dtw, soft_dtw_divergence

X, Y, COST = torch.zeros(2, 5, 3), torch.zeros(2, 4, 3), torch.zeros(2, 5, 4)


@pytest.mark.parametrize(
    "arguments, error, text",
    [
        ({"gamma": 0}, ValueError, r"gamma must be positive and finite, got 0\.0"),
        ({"gamma": -1.0}, ValueError, r"got -1\.0"),
        ({"gamma": float("nan")}, ValueError, "got nan"),
        ({"gamma": float("inf")}, ValueError, "got inf"),
        ({"gamma": torch.tensor(0.1, requires_grad=True)}, TypeError, "gamma must be a number"),
        ({"distance": "euclid"}, ValueError, "one of sqeuclidean, cosine, got 'euclid'"),
        ({"band": -1}, ValueError, "band must be >= 0 frames, got -1"),
        ({"band": 1.5}, TypeError, r"integer number of frames or None, got 1\.5"),
        ({"x_lengths": [5, 6]}, ValueError, r"x_lengths\[1\] = 6 must lie in 1\.\.5"),
        ({"y_lengths": [0, 4]}, ValueError, r"y_lengths\[0\] = 0 must lie in 1\.\.4"),
        ({"x_lengths": [5]}, ValueError, r"x_lengths must have shape \(2,\), got \(1,\)"),
        ({"x_lengths": [5.0, 4.0]}, TypeError, r"x_lengths must be integers, got torch\.float32"),
        ({"y_lengths": torch.tensor([True, True])}, TypeError, r"integers, got torch\.bool"),
        ({"x": X[0]}, ValueError, r"x must have shape \(B, N, D\), got \(5, 3\)"),
        ({"y": Y[..., None]}, ValueError, r"y must have shape \(B, M, D\), got \(2, 4, 3, 1\)"),
        ({"y": Y[:1]}, ValueError, r"x \(2, 5, 3\), y \(1, 4, 3\): B and D must agree"),
        ({"y": Y[..., :2]}, ValueError, r"y \(2, 4, 2\): B and D must agree"),
        ({"x": X.long()}, TypeError, r"x must be floating point, got torch\.int64"),
        ({"x": X.numpy()}, TypeError, r"x must be a tensor \(B, N, D\), got ndarray"),
        ({"x": None}, TypeError, "x must be a tensor"),
        ({"x": X[:, :0]}, ValueError, r"x_lengths would be 0 for shape \(2, 0, 3\)"),
        ({"x": X.to("meta")}, ValueError, "x is on meta"),
    ],
)
@pytest.mark.parametrize("function", [soft_dtw, soft_dtw_divergence, soft_alignment])
def test_frames(function, arguments, error, text):
    with pytest.raises(error, match=text):
        function(**{"x": X, "y": Y, **arguments})


@pytest.mark.parametrize("function", [soft_dtw, soft_alignment])
def test_costs(function):
    for arguments, error, text in (
        ({"distance": "cosine"}, ValueError, "with cost give neither"),
        ({"normalize_frames": True}, ValueError, "with cost give neither"),
        ({"x": X, "y": Y}, ValueError, "give x and y, or cost, not both"),
        ({"cost": COST[0]}, ValueError, r"cost must have shape \(B, N, M\), got \(5, 4\)"),
        ({"cost": COST.int()}, TypeError, r"cost must be floating point, got torch\.int32"),
        ({"cost": COST[:, :, :0]}, ValueError, r"y_lengths would be 0"),
        ({"x_lengths": [1, 7]}, ValueError, r"x_lengths\[1\] = 7 must lie in 1\.\.5"),
        ({"gamma": 0}, ValueError, "gamma must be positive"),
        ({"band": -3}, ValueError, "got -3"),
    ):
        with pytest.raises(error, match=text):
            function(**{"cost": COST, **arguments})
