import subprocess
import sys

from espnet_posinv.perturb.seeding import generator

DRAW = "from espnet_posinv.perturb.seeding import generator; print(generator('utt1', 7).integers(2**32))"


def test_the_same_in_every_process():
    """Python's own hash() is salted per process; ours must not be."""
    draws = {subprocess.check_output([sys.executable, "-c", DRAW]) for _ in range(2)}
    assert draws == {f"{generator('utt1', 7).integers(2**32)}\n".encode()}


def test_parts_are_kept_apart():
    draws = [
        generator(*parts).integers(2**63) for parts in (("a", "bc"), ("ab", "c"), ("abc",), ("a", "bc", 1))
    ]
    assert len(set(draws)) == 4
