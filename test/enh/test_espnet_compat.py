"""What we reach for in ESPnet is there (or say so), and what we repair is still broken (or say so)."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from espnet_posinv import espnet_compat


def version(minimum):
    """Whether the ESPnet that is installed is at least this one."""
    from importlib.metadata import version

    return int(version("espnet").split(".")[0]) >= minimum


def source(module):
    return Path(importlib.import_module(module).__file__).read_text(encoding="utf-8")


def refuses_arrays() -> bool:
    try:
        int(np.ones(1, int))
    except TypeError:
        return True
    return False


# --- allowed: ESPnet still has what we reach for ----------------------------------------------------------


def test_tables_of_names_take_classes():
    from espnet2.tasks import enh, enh_s2t, enh_tse

    tables = [enh.criterion_choices, enh.separator_choices, enh.preprocessor_choices]
    assert all(isinstance(table.classes, dict) for table in [*tables, enh_s2t.enh_separator_choices])
    assert enh_tse.criterion_choices is enh.criterion_choices
    assert isinstance(enh_s2t.name2task, dict) and "enh" in enh_s2t.name2task


def test_tools_name_their_task():
    from espnet_posinv.enh.task import TASKS

    for tool in ("enh_train", "enh_inference", "enh_tse_train", "enh_tse_inference", "enh_s2t_train"):
        module = importlib.import_module(f"espnet2.bin.{tool}")
        copy = type(sys)(tool)
        vars(copy).update(vars(module))
        espnet_compat.replace_tasks(copy, TASKS)
        assert any(value in TASKS.values() for value in vars(copy).values() if isinstance(value, type)), tool
    assert not any(value in TASKS.values() for value in vars(module).values() if isinstance(value, type))


def test_models_call_forward_loss_with_lengths():
    from espnet_posinv.enh.model import MODELS

    for theirs in MODELS:
        assert "kwargs" in inspect.signature(theirs.forward).parameters  # utt_id and our rates come in there
        if hasattr(theirs, "forward_loss"):
            assert list(inspect.signature(theirs.forward_loss).parameters)[:3] == [
                "self",
                "speech_pre",
                "speech_lengths",
            ]


def test_what_is_adopted_is_a_time_domain_loss():
    from espnet2.enh.loss.criterions.time_domain import TimeDomainLoss

    class Loss(torch.nn.Module):
        pass

    assert not isinstance(Loss(), TimeDomainLoss)
    espnet_compat.adopt_criterion(Loss)
    assert isinstance(Loss(), TimeDomainLoss)
    for wrapper in (
        "fixed_order",
        "pit_solver",
        "mixit_solver",
        "multilayer_pit_solver",
    ):  # typeguard's checks
        importlib.import_module(f"espnet2.enh.loss.wrappers.{wrapper}")


def test_readers_keep_the_rate_of_the_last_file(corpus):
    from espnet2.iterators.chunk_iter_factory import ChunkIterFactory
    from espnet2.train.dataset import ESPnetDataset

    path = f"{corpus}/train/wav.scp"
    dataset = ESPnetDataset([(path, "speech_mix", "sound"), (f"{corpus}/train/text", "text", "text")])
    dataset.preprocess = lambda uid, data: {"speech_mix": data["speech_mix"]}
    assert set(dataset["train0"][1]) == {"speech_mix"}
    rates = {name: espnet_compat.last_rate(reader) for name, reader in dataset.loader_dict.items()}
    assert rates == {"speech_mix": 16000, "text": None}
    assert espnet_compat.path_of(dataset, "speech_mix") == path
    factory = ChunkIterFactory(dataset, batch_size=1, batches=[["train0"]], chunk_length=4000)
    assert list(espnet_compat.datasets(factory)) == [dataset]


def test_the_trainer_saves_through_torch_save(tmp_path):
    text = source("espnet2.train.trainer")
    assert "torch.save(" in text and 'output_dir / "checkpoint.pth"' in text
    calls = []

    def save(original, value, file):
        calls.append(file)
        original(value, file)

    original = torch.save
    with espnet_compat.saving_with(save):
        torch.save({"a": 1}, tmp_path / "a.pth")
        with (tmp_path / "b.pth").open("wb") as stream:
            torch.save({"a": 1}, stream)  # not a path: ESPnet's business
    assert torch.save is original and calls == [tmp_path / "a.pth"]


def test_the_reporter_comes_back():
    from espnet2.train.reporter import Reporter

    with Reporter(1).observe("train") as reporter:
        reporter.register({"loss": torch.tensor(2.0), "acc": None}, weight=torch.tensor(3.0))
        reporter.next()
        state = espnet_compat.reporter_state(reporter)
    with Reporter(1).observe("train") as other:
        espnet_compat.restore_reporter(other, state)
        assert espnet_compat.reporter_state(other) == state
        assert set(vars(other)) == set(vars(reporter)), "a SubReporter has further state"


HOOK = """
import sys
import espnet_posinv
heavy = ("torch", "numba", "espnet2", "espnet", "numpy", "transformers")
assert not [m for m in sys.modules if m.split(".")[0] in heavy]
{imports}
from espnet2.tasks import enh, enh_s2t
assert "nsnet2" in enh.separator_choices.classes and "nsnet2" in enh_s2t.enh_separator_choices.classes
assert "ssl_softdtw" in enh.criterion_choices.classes
"""


@pytest.mark.parametrize("imports", ["", "import espnet2.tasks.enh_s2t"])
def test_importing_the_package_registers_its_names_when_espnet_comes(imports):
    run = subprocess.run([sys.executable, "-c", HOOK.format(imports=imports)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_where_espnet_is_there_already_names_are_registered_at_once():
    calls = []
    importlib.import_module(espnet_compat.TASKS)
    espnet_compat.when_tasks_are_imported(lambda: calls.append(1))
    assert calls == [1]


# --- needed: a test that fails here says that a repair of ours can go -------------------------------------


def test_the_chunk_iterator_still_needs_its_repair():
    """202609 does not; when older ones are no longer supported, delete repair_chunk_iterator."""
    calls = "int(state.choice(chunk_lengths, 1))" in source("espnet2.iterators.chunk_iter_factory")
    assert calls == (not version(202609))


@pytest.mark.skipif(not refuses_arrays(), reason="this numpy makes numbers of arrays")
def test_the_preprocessor_still_needs_a_scalar_rate():
    from espnet2.train.preprocessor import EnhPreprocessor

    preprocess = EnhPreprocessor(train=False, num_spk=1, sample_rate=16000)
    wav = np.zeros(100, np.float32)

    def data():
        return {"speech_mix": wav, "speech_ref1": wav, "fs": np.array([8000])}

    with pytest.raises(TypeError):
        preprocess("a", data())
    assert espnet_compat.ScalarRate(preprocess)("a", data())["utt2fs"].tolist() == [8000]


def test_models_still_tell_criterions_nothing():
    """When ESPnet hands lengths or ids to a criterion, the models of enh/model.py can go."""
    text = source("espnet2.enh.loss.wrappers.fixed_order")
    assert "self.criterion(r, i)" in text


def test_checkpoints_are_still_written_in_place():
    text = source("espnet2.train.trainer")
    assert "os.replace" not in text and ".rename(" not in text


def test_inference_still_builds_criterions():
    """When it does not, enh/model_folder.py can go."""
    assert 'getattr(args, "criterions", None)' in source("espnet2.tasks.enh")
