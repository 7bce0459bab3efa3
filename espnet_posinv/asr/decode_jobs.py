"""Recognition as an array of jobs of a launcher (run.pl, slurm.pl, queue.pl), for clusters.

The utterances left, of all sets, are split evenly over the jobs. Each job is an ordinary `posinv decode` on
its part and keeps the utterances that it finishes; the next run collects these before it splits the rest.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from espnet_posinv.asr.decode import Recogniser, Sets, begin, read_cut_off
from espnet_posinv.files import read_json, write_json
from espnet_posinv.kaldi.scp import DataError, read_scp, write_scp
from espnet_posinv.kaldi.split import even_bounds
from espnet_posinv.launch.calls import run_jobs


def decode_by_jobs(
    recogniser: Recogniser,
    options: Sequence[str],
    pairs: Sequence[tuple[str | Path, str | Path]],
    *,
    command: str,
    nj: int,
) -> int:
    """Like :func:`~espnet_posinv.asr.decode.decode`, in jobs ``command JOB=1:n LOG python -m ...``.

    Args:
        options: arguments of `posinv decode` that describe the recogniser.
        pairs: wav.scp and output folder of each set; logs and unfinished parts are in ``log`` in the first.
        command: the launcher and its options, like ``utils/slurm.pl --gpu 1``.
        nj: number of jobs at most.

    Raises:
        DataError: a job failed; finished utterances are kept.
    """
    log_dir = Path(pairs[0][1]) / "log"
    sets = Sets(recogniser, pairs)
    order = [str(folder) for folder in sets.tables]
    before = _collect(sets, recogniser, log_dir, order)
    todo = sets.todo()
    if not todo:
        return before
    jobs = min(nj, len(todo))
    bounds = even_bounds(len(todo), jobs)
    write_json(log_dir / "sets.json", order)
    for job in range(jobs):
        part = {
            f"{order.index(str(item.folder))}:{item.utterance}": item.entry
            for item in todo[bounds[job] : bounds[job + 1]]
        }
        write_scp(log_dir / f"part.{job + 1}" / "wav.scp", part)
    part = f"{log_dir}/part.JOB"
    words = ["decode", *options, "--nj", "1", "--wav-scp", f"{part}/wav.scp", "--output-dir", part]
    failed = run_jobs(command, 1, jobs, f"{log_dir}/asr_decode.JOB.log", words)
    count = _collect(sets, recogniser, log_dir, order)
    if failed:
        raise DataError(f"recognition failed, see above and {log_dir}/asr_decode.*.log; run again to go on")
    if left := sets.todo():
        raise DataError(
            f"{log_dir}: {len(left)} utterances without text, like {left[0].utterance}; run again"
        )
    sets.report()
    return before + count


def _collect(sets: Sets, recogniser: Recogniser, log_dir: Path, order: list[str]) -> int:
    """Add the results of finished jobs to their sets and delete the parts; returns how many were added."""
    record, settings, count = log_dir / "sets.json", recogniser.settings(), 0
    parts = sorted(log_dir.glob("part.*"))
    if record.exists() and read_json(record, list) == order:
        todo = {(str(item.folder), item.utterance): item for item in sets.todo()}
        for part in parts:
            if not (part / "wav.scp").exists():  # killed while it was made
                continue
            table = read_scp(part / "wav.scp")
            texts, notes = begin(part, table, settings), read_cut_off(part)
            for key, text in texts.items():
                number, _, utterance = key.partition(":")
                item = todo.get((order[int(number)], utterance))
                if item and item.entry == table[key]:
                    sets.add(item, text, notes.get(key, ""))
                    count += 1
    for part in parts:
        shutil.rmtree(part)
    return count
