"""For the examples in docstrings: the message which ESPnet prints at its import is no output of theirs."""

import pytest


@pytest.fixture(autouse=True)
def _import_espnet_first(request):
    if isinstance(request.node, pytest.DoctestItem) and request.node.name.startswith("espnet_posinv.enh."):
        import espnet.nets.pytorch_backend.transformer.attention  # noqa: F401
