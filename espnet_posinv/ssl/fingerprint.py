"""Identity of an encoder, so that stored results are computed again when it changes."""

from pathlib import Path


def encoder_fingerprint(upstream: str) -> list:
    """Specification of an encoder and, of one in a local folder, names, sizes and times of its files."""
    folder = Path(upstream.partition(":")[2])
    files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    return [upstream, [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]]
