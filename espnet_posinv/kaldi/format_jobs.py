"""Formatting of audio by jobs of a launcher (run.pl, slurm.pl, queue.pl), for clusters."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from espnet_posinv.files import atomic_write
from espnet_posinv.kaldi.scp import DataError, read_scp
from espnet_posinv.kaldi.split import even_bounds
from espnet_posinv.launch.calls import run_jobs


def format_by_jobs(
    command: str, options: Sequence[str], scp: str, keys: Sequence[str], log_dir: Path, folder: str, jobs: int
) -> tuple[dict[str, str], dict[str, str]]:
    """Format the utterances ``keys`` in ``jobs`` jobs ``command JOB=1:n LOG python -m ...``.

    Returns:
        wav.scp and utt2num_samples of all.

    Raises:
        DataError: a job failed; the launcher has printed which.
    """
    jobs = min(jobs, len(keys))
    bounds = even_bounds(len(keys), jobs)
    log_dir.mkdir(parents=True, exist_ok=True)
    for job in range(jobs):
        # An older result must not be taken for that of a lost job.
        shutil.rmtree(log_dir / f"part.{job + 1}", ignore_errors=True)
        with atomic_write(log_dir / f"keys.{job + 1}") as file:
            file.writelines(f"{key}\n" for key in keys[bounds[job] : bounds[job + 1]])
    words = ["data", "format-wav-scp", *options, "--nj", "1", "--keys", f"{log_dir}/keys.JOB"]
    words += [scp, f"{log_dir}/part.JOB", str(log_dir), folder]
    if status := run_jobs(command, 1, jobs, f"{log_dir}/format_wav_scp.JOB.log", words):
        logs = "" if status == 255 else f" and {log_dir}/format_wav_scp.*.log"  # 255: nothing was started
        raise DataError(f"formatting failed, see above{logs}")
    paths, samples = {}, {}
    for job in range(1, jobs + 1):
        paths |= read_scp(log_dir / f"part.{job}" / "wav.scp")
        samples |= read_scp(log_dir / f"part.{job}" / "utt2num_samples")
    if missing := sorted(set(keys) - paths.keys()):
        raise DataError(f"{log_dir}: no output for {len(missing)} utterances, like {missing[0]!r}; run again")
    return paths, samples
