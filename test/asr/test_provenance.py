import json

import pytest
import torch
from safetensors.torch import save_file

from espnet_posinv.asr.provenance import parts_in_training
from espnet_posinv.ssl.marks import marks


def weights(seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    table = {f"layer{k}.bias": torch.randn(96, generator=generator) for k in range(4)}
    table |= {"matrix": torch.randn(8, 8, generator=generator), "gain": torch.ones(96)}
    return {name: value.to(dtype) for name, value in table.items()}


@pytest.fixture
def models(tmp_path):
    """Model 0 in five places and formats, and model 1."""

    def folder(name):
        (tmp_path / name).mkdir()
        return tmp_path / name

    save_file(weights(0), folder("original") / "model.safetensors")
    save_file({f"other.{k}": v for k, v in weights(0).items()}, folder("renamed") / "model.safetensors")
    save_file(weights(0, torch.float16), folder("half") / "model.safetensors")
    save_file(weights(0, torch.bfloat16), folder("bfloat") / "model.safetensors")
    torch.save({"model": weights(0)}, folder("pickled") / "pytorch_model.bin")
    save_file(weights(1), folder("different") / "model.safetensors")
    folder("empty")
    return tmp_path


@pytest.mark.parametrize("place", ["original", "renamed", "half", "bfloat", "pickled"])
def test_the_same_weights_are_found_in_any_place_and_format(models, place):
    settings = {"model": "my-recogniser", "weights": marks(models / "original")}
    upstream = f"transformers:{models}/{place}"
    assert parts_in_training(settings, [upstream]) == ([upstream], [])


def test_other_weights_of_the_same_name_were_held_out(models):
    settings = {"model": "different", "weights": marks(models / "original")}
    assert parts_in_training(settings, [f"transformers:{models}/different"]) == ([], [])


def test_where_weights_are_not_here_it_is_not_known(models):
    known = {"model": "original", "weights": marks(models / "original")}
    for upstream in (f"transformers:{models}/empty", "s3prl:hubert", "transformers:nobody/has-this"):
        assert parts_in_training(known, [upstream]) == ([], [upstream])
    upstream = f"transformers:{models}/different"
    assert parts_in_training({"model": "mine"}, [upstream]) == ([], [upstream])
    assert parts_in_training({}, [upstream]) == ([], [upstream])
    # The same name without weights to compare: no claim that it was held out
    assert parts_in_training({"model": "has-this"}, ["transformers:nobody/has-this"])[0]


def test_a_recogniser_that_taught_the_encoder_had_a_part(models):
    save_file(weights(2), models / "empty" / "model.safetensors")
    config = {"teachers": ["whisper-tiny.en"], "teacher_weights": marks(models / "original")}
    (models / "empty" / "config.json").write_text(json.dumps(config))
    loss = [f"transformers:{models}/empty"]
    assert parts_in_training({"model": "x", "weights": marks(models / "half")}, loss) == (loss, [])
    assert parts_in_training({"model": "whisper-tiny.en", "weights": marks(models / "different")}, loss) == (
        [],
        [],
    )


def test_one_vector_in_common_is_no_model_in_common(models):
    table = weights(1) | {"window": weights(0)["layer0.bias"]}
    save_file(table, models / "empty" / "model.safetensors")
    settings = {"weights": marks(models / "original")}
    assert parts_in_training(settings, [f"transformers:{models}/empty"]) == ([], [])
