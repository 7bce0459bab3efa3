"""What the ranks of a training noted, step by step (by ddp_worker.py), and how two trainings differ."""

import json
from collections import defaultdict
from pathlib import Path
from statistics import mean

PARTS = ("data", "forward", "backward", "update")  # backward: with the all-reduce and waiting for others


class Notes:
    """What the ranks of one training noted."""

    def __init__(self, ranks: list[list[dict]]):
        self.ranks = ranks
        steps = defaultdict(list)
        for rows in ranks:
            for row in rows:
                steps[row["epoch"], row["step"]].append(row)
        self.complete = {key: rows for key, rows in steps.items() if len(rows) == len(ranks)}
        self.draws = {
            (row["epoch"], utterance): speed
            for rows in ranks
            for row in rows
            for utterance, speed in zip(row["utterances"], row["speeds"], strict=False)
        }
        self.losses = {key: _global_loss(rows) for key, rows in self.complete.items()}

    def loss(self, epoch):
        return mean(loss for (e, _), loss in self.losses.items() if e == epoch)

    def of_epoch(self, rank, epoch):
        return [row for row in self.ranks[rank] if row["epoch"] == epoch]

    def timed(self):
        """The steps of the second epoch but its first, which waits for the data's workers to start."""
        return {step: rows for (epoch, step), rows in self.complete.items() if epoch == 2}

    def throughput(self):
        steps = self.timed()
        took = max(rows["end"] for rows in steps[max(steps)]) - max(rows["end"] for rows in steps[1])
        return sum(row["audio"] for step, rows in steps.items() if step > 1 for row in rows) / took

    def seconds(self):
        rows = [row for step, rows in self.timed().items() if step > 1 for row in rows]
        return {part: mean(row[part] for row in rows) for part in PARTS}


def _global_loss(rows):
    return sum(row["loss"] * len(row["utterances"]) for row in rows) / sum(len(r["utterances"]) for r in rows)


def deviation(got: Notes, reference: Notes, epoch: int) -> float:
    """Largest relative difference of the losses of the steps of an epoch that both have."""
    common = [key for key in got.losses.keys() & reference.losses.keys() if key[0] == epoch]
    return max(abs(got.losses[key] / reference.losses[key] - 1) for key in common)


def read(path: Path) -> list[dict]:
    """The complete lines of a rank's notes; none if it never wrote any."""
    if not path.exists():
        return []
    return [
        json.loads(line) for line in path.read_text(encoding="utf-8").splitlines(True) if line.endswith("\n")
    ]
