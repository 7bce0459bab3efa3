"""One line per epoch of an ESPnet training, read from its log while it runs, with the time left.

The launcher sends a job's output to its log, on this machine or on a cluster's node; this follows the log, so
that the recipe can show its progress.
"""

import os
import re
import time

EPOCH = re.compile(r"(\d+)epoch results: (.*)")
LOSS = re.compile(r"\[(train|valid)\](.*?)(?=\[(?:train|valid|att_plot)\]|$)")


def parse(line):
    """Return (epoch, {'train': loss, 'valid': loss}) of an epoch's result line, None for any other line."""
    match = EPOCH.search(line)
    if not match:
        return None
    losses = {}
    for part, text in LOSS.findall(match.group(2)):
        loss = re.search(r"(?<![\w_])loss=(-?[\d.]+(?:e[-+]?\d+)?|nan|-?inf)", text)
        if loss:
            losses[part] = float(loss.group(1))
    return int(match.group(1)), losses


def clock(seconds):
    """Seconds as 1:02:03 or 4:05."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def follow(log, label, max_epoch, alive, now=time.time, sleep=time.sleep):
    """Yield a progress line per epoch that appears in the log, until `alive()` is false and the log is read.

    The log may not exist yet and may be replaced (a rerun). What it holds at the start is skipped, since it
    belongs to an earlier attempt. `label` begins each line; `now` and `sleep` are replaced in tests.
    """
    position = os.path.getsize(log) if os.path.exists(log) else 0
    start = now()
    first = None
    rest = b""
    while True:
        last_round = not alive()
        if os.path.exists(log):
            if os.path.getsize(log) < position:
                position, rest = 0, b""
            with open(log, "rb") as stream:
                stream.seek(position)
                *lines, rest = (rest + stream.read()).split(b"\n")
                position = stream.tell()
            for line in lines:
                found = parse(line.decode("utf-8", "replace"))
                if not found:
                    continue
                epoch, losses = found
                first = epoch if first is None else first
                pace = (now() - start) / (epoch - first + 1)
                shown = "  ".join(f"{part} loss {value:.4f}" for part, value in losses.items())
                yield f"{label}: epoch {epoch}/{max_epoch}  {shown}  ETA {clock(pace * (max_epoch - epoch))}"
        if last_round:
            return
        sleep(1)
