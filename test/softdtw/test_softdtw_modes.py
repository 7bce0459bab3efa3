"""What a mode of torch leaves behind, frames far from zero or at it, torch.compile."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from espnet_posinv.softdtw import soft_alignment, soft_dtw, soft_dtw_divergence


def frames(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator("cpu").manual_seed(seed), device="cpu")


def gradient(function, x, *others, **options):
    x = x.detach().clone().requires_grad_()
    function(x, *others, **options).sum().backward()
    return x.grad


@pytest.mark.parametrize("function", [soft_dtw, soft_dtw_divergence])
def test_a_first_call_in_any_mode_leaves_the_next_as_it_would_be(function):
    """No tensor of that call is kept: sizes are those of no other test."""
    x, y = frames(3, 37, 4), frames(3, 43, 4, seed=1)
    with torch.inference_mode():
        function(frames(3, 37, 4), frames(3, 43, 4))
    with torch.device("meta"):
        function(x, y)
    with FakeTensorMode(), pytest.raises(Exception):  # noqa: B017 (a fake tensor has no numbers; torch says so)
        function(frames(3, 37, 4), frames(3, 43, 4))
    expected = gradient(function, x, y, x_lengths=[37] * 3, y_lengths=[43] * 3)
    torch.testing.assert_close(gradient(function, x, y), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("function", [soft_dtw, soft_dtw_divergence])
@pytest.mark.parametrize("options", [{}, {"distance": "cosine"}, {"normalize_frames": True}])
def test_a_target_that_was_made_under_inference_mode(function, options):
    """Also its lengths, where what needs the gradient is the other side."""
    x, y, n, m = frames(2, 30, 4), frames(2, 20, 4, seed=1), torch.tensor([30, 9]), torch.tensor([8, 20])
    lengths = {"x_lengths": n, "y_lengths": m}
    expected = gradient(function, x, y, **lengths, **options)
    with torch.inference_mode():
        target = y.clone()
        lengths = {name: value.clone() for name, value in lengths.items()}
    assert torch.equal(gradient(function, x, target, **lengths, **options), expected)
    assert torch.equal(gradient(lambda a: function(target, a, **options), x[:, :20]),
                       gradient(lambda a: function(y, a, **options), x[:, :20]))  # fmt: skip


@pytest.mark.parametrize("offset", [0.0, 100.0, 1000.0])
@pytest.mark.parametrize("function", [soft_dtw, soft_dtw_divergence])
def test_an_offset_that_all_frames_share_costs_no_digits(function, offset):
    """|x|^2 + |y|^2 - 2 x.y by itself loses them all; float64 of the same frames is what is right."""
    y = frames(2, 50, 16)
    x = y[:, torch.arange(60) * 50 // 60] + 0.01 * frames(2, 60, 16, seed=1)
    x, y = x + offset, y + offset
    options = {"x_lengths": [60, 40], "y_lengths": [33, 50]}
    loss, exact = (function(x.to(kind), y.to(kind), **options) for kind in (torch.float32, torch.float64))
    torch.testing.assert_close(loss.double(), exact, rtol=1e-6, atol=3e-4)
    grads = [gradient(function, x.to(kind), y.to(kind), **options) for kind in (torch.float32, torch.float64)]
    torch.testing.assert_close(grads[0].double(), grads[1], rtol=0, atol=1e-4)
    E = [soft_alignment(x.to(kind), y.to(kind), **options) for kind in (torch.float32, torch.float64)]
    torch.testing.assert_close(E[0].double(), E[1], rtol=0, atol=1e-4)


def test_an_offset_in_bfloat16():
    """16-bit frames lose it in float32, where their differences are exact."""
    x, y = ((frames(1, n, 8, seed=n) + 100).bfloat16() for n in (40, 30))
    loss = soft_dtw_divergence(x, y)
    torch.testing.assert_close(
        loss.double(), soft_dtw_divergence(x.double(), y.double()), rtol=1e-5, atol=1e-4
    )
    assert gradient(soft_dtw_divergence, x, y).dtype == torch.bfloat16


@pytest.mark.parametrize("options", [{"distance": "cosine"}, {"normalize_frames": True}])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_frames_of_zeros_have_no_direction(options, dtype):
    """They stay zeros, cost 1 against any other frame, and get no gradient; others' is finite."""
    x, y = frames(1, 12, 4).to(dtype), frames(1, 9, 4, seed=1).to(dtype)
    x[:, 3:6], y[:, 0] = 0, 0
    for function in (soft_dtw, soft_dtw_divergence):
        grad = gradient(function, x, y, **options)
        assert grad.isfinite().all() and (grad[:, 3:6] == 0).all() and (grad[:, 6:] != 0).any()
    lonely = soft_dtw(x[:, 3:4], y[:, 1:2], **options)
    torch.testing.assert_close(lonely, torch.ones_like(lonely), rtol=1e-6, atol=0)


def test_a_direction_is_right_or_nan():
    """Not silently shorter than 1, where squares leave the format."""
    one = torch.tensor([[[3.0, 4.0]]])
    for scale in (1e-17, 1e17):
        torch.testing.assert_close(soft_dtw(one * scale, one, distance="cosine"), torch.zeros(1))
    assert soft_dtw(one * 1e30, one, distance="cosine").isnan().all()


def test_the_compiler_breaks_its_graph_at_the_first_call_too(run_python):
    """In a process of its own: numba has compiled nothing yet."""
    code = """
import torch
from espnet_posinv.softdtw import soft_dtw_divergence

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)

    def forward(self, x, y, n):
        return soft_dtw_divergence(2 * self.layer(x), y, x_lengths=n).mean()

model, x, y, n = Model(), torch.randn(2, 9, 4), torch.randn(2, 7, 4), torch.tensor([9, 5])
results = []
for call in (torch.compile(model, backend="eager"), model):
    model.zero_grad()
    loss = call(x, y, n)
    loss.backward()
    results.append((loss.item(), model.layer.weight.grad.clone()))
assert results[0][0] == results[1][0] and torch.equal(results[0][1], results[1][1])
"""
    run_python(code)


def test_importing_takes_no_compiler(run_python):
    """torch's takes longer to import than the whole of a first call from the cache."""
    code = "import sys, espnet_posinv.softdtw; print('torch._dynamo' in sys.modules)"
    before = run_python("import sys, torch; print('torch._dynamo' in sys.modules)")
    assert run_python(code) == before


@pytest.mark.parametrize("value", [True, False])
def test_a_truth_value_is_no_number(value):
    for name in ("band", "gamma"):
        with pytest.raises(TypeError, match=f"{name} must be .*got {value}"):
            soft_dtw(cost=torch.zeros(1, 2, 2), **{name: value})
