"""Checking and splitting data directories of growing size: seconds, memory, and whether the cost is linear.

    python bench/kaldi_scale.py [--utts 1000000] [--parts 32]

The directory has the seven files of an enhancement corpus. Each command runs in a separate process,
as scripts run it, so start-up is included and the memory is the process's peak.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from bench_common import make_parser

REPO = Path(__file__).resolve().parents[1]


def make(path: Path, utts: int, per_speaker: int = 250) -> None:
    """A sound data directory."""
    path.mkdir()
    lines: dict[str, list[str]] = {}
    for first in range(0, utts, per_speaker):
        spk = f"spk{first // per_speaker:06d}"
        ids = [f"{spk}-book{first:08d}-{k:05d}" for k in range(min(per_speaker, utts - first))]
        for name, kind in (("wav.scp", "noisy"), ("spk1.scp", "clean"), ("noise1.scp", "noise")):
            folder = f"/corpora/enhancement/train/{kind}/{spk}"
            lines[name] = [f"{utt} {folder}/{utt}.wav\n" for utt in ids]
        words = "THE WORDS OF A SENTENCE OF USUAL LENGTH " * 2
        lines["text"] = [f"{utt} {words}{k}\n" for k, utt in enumerate(ids)]
        lines["utt2spk"] = [f"{utt} {spk}\n" for utt in ids]
        lines["utt2num_samples"] = [f"{utt} {100000 + k}\n" for k, utt in enumerate(ids)]
        lines["spk2utt"] = [f"{spk} {' '.join(ids)}\n"]
        for name, block in lines.items():
            with open(path / name, "a") as file:
                file.writelines(block)


def measure(command: list[str]) -> tuple[float, float, float]:
    """Seconds, seconds of processor time and peak GB of a command that must succeed."""
    start = time.perf_counter()
    child = os.posix_spawn(command[0], command, os.environ | {"PYTHON": sys.executable})
    _, status, usage = os.wait4(child, 0)
    if status:
        sys.exit(f"{' '.join(command)}: exit status {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6


def main() -> None:
    """Print a table."""
    parser = make_parser(__doc__)
    parser.add_argument("--utts", type=int, default=1_000_000, help="the largest directory")
    parser.add_argument("--parts", type=int, default=32)
    args = parser.parse_args()
    validate, split = str(REPO / "utils/validate_data_dir.sh"), str(REPO / "utils/split_data.sh")
    rows, costs = [], []
    for utts in (args.utts // 10, args.utts):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "data"
            make(path, utts)
            runs = [
                measure([validate, "--no-feats", str(path)]),
                measure([split, str(path), str(args.parts)]),
            ]
            lines = sum(p.read_bytes().count(b"\n") for p in path.glob(f"split{args.parts}/*/wav.scp"))
        if lines != utts:
            sys.exit(f"{lines} utterances in the parts, not {utts}")
        costs.append(sum(cpu for _, cpu, _ in runs) / utts)
        rows.append(f"{utts:>10}" + "".join(f" {s:>8.1f} {cpu:>6.1f} {gb:>5.2f}" for s, cpu, gb in runs))
    print(
        f"{'utterances':>10}"
        + "".join(f" {name:>8} {'cpu s':>6} {'GB':>5}" for name in ("check s", "split s"))
    )
    print("\n".join(rows))
    print(f"processor time of an utterance, {args.utts} / {args.utts // 10}: {costs[1] / costs[0]:.2f}")


if __name__ == "__main__":
    main()
