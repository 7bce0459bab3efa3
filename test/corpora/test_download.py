"""Downloads: resumed where they broke off, checked, moved to another place, and what errors say."""

import functools
import hashlib
import http.server
import threading

import pytest

from espnet_posinv.corpora.download import download
from espnet_posinv.corpora.fetch import FetchError

CONTENT = bytes(range(256)) * 1200
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """/good gives CONTENT, /short a third of it, /plain knows no ranges, /wrong gives other bytes."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range"), self.headers["User-Agent"]))
        if self.path == "/none":
            self.send_error(404)
            return
        content = CONTENT[::-1] if self.path == "/wrong" else CONTENT
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1]) if self.path != "/plain" else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = start + len(content) // 3 if self.path == "/short" else len(content)
        self.wfile.write(content[start:stop])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        running.asked = []
        running.url = f"http://127.0.0.1:{running.server_port}"
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def get(server, tmp_path):
    """get(paths...) -> the downloaded file; lines said are in get.said."""
    said, waited = [], []

    def call(*paths, **options):
        urls = [path if "://" in path else server.url + path for path in paths]
        return download(urls, tmp_path / "d/x.zip", MD5, say=said.append, sleep=waited.append, **options)

    call.said, call.waited = said, waited
    return call


def test_a_file_comes_once(get, server, tmp_path):
    assert get("/good").read_bytes() == CONTENT
    assert get("/good") == tmp_path / "d/x.zip"
    assert server.asked == [("/good", None, "espnet_posinv")]
    assert [p.name for p in (tmp_path / "d").iterdir()] == ["x.zip"]


def test_connections_that_break_are_resumed(get, server):
    assert get("/short").read_bytes() == CONTENT
    third = len(CONTENT) // 3
    ranges = [r for _, r, _ in server.asked]
    assert ranges[:3] == [None, f"bytes={third}-", f"bytes={2 * third}-"]
    assert len(get.said) >= 2 and f"{third} bytes are here" in get.said[0]
    assert get.waited == sorted(get.waited) and len(get.waited) == len(get.said)


def test_another_run_and_another_place_go_on(get, server, tmp_path):
    with pytest.raises(FetchError, match=r"x\.zip could not be fetched .*IncompleteRead.*Run again"):
        get("/short", tries=1)
    assert get("/none", "/good").read_bytes() == CONTENT
    assert server.asked[-1][1] == f"bytes={len(CONTENT) // 3}-"
    assert "404" in get.said[-1] or "Not Found" in get.said[-1]


def test_a_server_without_ranges_gives_the_whole_file(get, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/x.zip.part").write_bytes(b"begun")
    assert get("/plain").read_bytes() == CONTENT


def test_a_complete_part_is_taken(get, server, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/x.zip.part").write_bytes(CONTENT)
    assert get("/good").read_bytes() == CONTENT and len(server.asked) == 1


def test_a_wrong_file_is_not_kept_and_the_next_place_asked(get, tmp_path):
    assert get("/wrong", "/good").read_bytes() == CONTENT
    assert "published is" in get.said[0] and "deleted" in get.said[0]
    (tmp_path / "d/x.zip").unlink()
    with pytest.raises(FetchError, match=r"MD5 .* published is"):
        get("/wrong")
    assert not list((tmp_path / "d").iterdir()) and get.waited == []


def test_no_network_names_the_way_out(get):
    with pytest.raises(FetchError, match=r"refused.*db\.sh"):
        get("http://127.0.0.1:9/x", tries=2)


def test_full_disk(get, monkeypatch):
    from espnet_posinv.corpora import download as module

    def full(folder, needed):
        raise FetchError(f"{folder}: {needed} bytes are to be written")

    monkeypatch.setattr(module, "check_space", functools.partial(full))
    with pytest.raises(FetchError, match=f"{len(CONTENT)} bytes"):
        get("/good")
