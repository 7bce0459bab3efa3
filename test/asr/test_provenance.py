import json

import pytest

from espnet_posinv.asr.provenance import parts_in_training

LOSS = [
    "whisper:../downloads/whisper-tiny.en",
    "transformers:facebook/hubert-base-ls960",
    "torchaudio:HUBERT_BASE",
]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"model": "whisper-tiny.en"}, LOSS[:1]),
        ({"model": "whisper-base"}, []),
        ({"model": "ctc_chars", "upstream": "transformers:models/hubert-base-ls960"}, LOSS[1:2]),
        ({"model": "ctc_chars", "upstream": "transformers:facebook/hubert-large-ll60k"}, []),
        ({"model": "asr_conformer", "lm": ""}, []),
        ({"model": "openai/whisper-base"}, []),
        ({}, []),
    ],
)
def test_models_that_are_in_the_loss(settings, expected):
    assert parts_in_training(settings, LOSS) == expected


def test_a_recogniser_that_taught_the_encoder_had_a_part(tmp_path):
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "config.json").write_text(json.dumps({"teachers": ["whisper-tiny.en"]}))
    loss = [f"transformers:{tmp_path}/student"]
    assert parts_in_training({"model": "whisper-tiny.en"}, loss) == loss
    assert parts_in_training({"model": "whisper-base"}, loss) == []
