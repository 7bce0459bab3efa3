"""Large downloads that can be resumed and are checked against their published MD5."""

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from espnet_posinv.corpora.fetch import FetchError, check_space
from espnet_posinv.files import file_hash

BLOCK = 1 << 20
TIMEOUT_S = 60
# Zenodo rejects clients without a name.
AGENT = {"User-Agent": "espnet_posinv"}


def md5(path: Path) -> str:
    """MD5 of a file as 32 hexadecimal digits."""
    return file_hash(path, lambda: hashlib.md5(usedforsecurity=False))


def download(
    urls: Sequence[str],
    target: Path,
    expected_md5: str | None,
    *,
    tries: int = 5,
    say: Callable[[str], None] = print,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Fetch a file from the first of several URLs that works; an existing file is kept. Returns `target`.

    Received data stay in ``target.part``; the next try, or the next run, requests the rest. The file gets its
    final name when it is complete and its MD5 is right.

    Args:
        expected_md5: as published; None: there is none, the caller checks the file.
        tries: rounds over all URLs.
        sleep: waits between rounds, in seconds; replaced in tests.

    Raises:
        FetchError: no URL worked, the disk is full, or the file has another MD5.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    reasons: dict[str, str] = {}
    left = list(urls)
    for round_ in range(tries):
        if round_:
            sleep(min(60, 2**round_))
        for url in list(left):
            try:
                _continue(url, part)
            except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
                reasons[url] = f"{url}: {getattr(error, 'reason', '') or error}"
                say(f"{reasons[url]}; {part.stat().st_size if part.exists() else 0} bytes are here")
                continue
            if expected_md5 is None or (got := md5(part)) == expected_md5:
                os.replace(part, target)
                return target
            part.unlink()
            left.remove(url)
            reasons[url] = f"{url}: MD5 {got}, published is {expected_md5}; what came was deleted"
            say(reasons[url])
        if not left:
            break
    raise FetchError(
        f"{target.name} could not be fetched ({'; '.join(reasons.values())}). Run again to go on where it "
        "broke off, or fetch it elsewhere and name its folder in db.sh"
    )


def _continue(url: str, part: Path) -> None:
    """Append what is missing to `part`."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={**AGENT, **({"Range": f"bytes={have}-"} if have else {})})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing left to send: the file is complete, or too long
            return
        raise
    with response, open(part, "ab") as file:
        if response.status != 206:  # the server sends the whole file
            file.truncate(0)
            have = 0
        length = response.headers.get("Content-Length")
        if length is not None:
            check_space(part.parent, int(length))
        while block := response.read(BLOCK):
            file.write(block)
            have += len(block)
    # read() returns a short block when a connection ends early
    if length is not None and response.length:
        raise http.client.IncompleteRead(b"", response.length)
