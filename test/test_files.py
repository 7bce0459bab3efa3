"""Files that appear complete or not at all."""

import os
import stat

import pytest

from espnet_posinv.files import atomic_write, read_json, read_yaml, replacing


def test_a_failed_write_leaves_the_old_file(tmp_path):
    file = tmp_path / "wav.scp"
    file.write_bytes(b"old\n")
    with pytest.raises(RuntimeError), atomic_write(file) as out:
        out.write("new")
        raise RuntimeError
    assert file.read_bytes() == b"old\n"
    assert os.listdir(tmp_path) == ["wav.scp"]


def test_nothing_appears_before_it_is_complete(tmp_path):
    with atomic_write(tmp_path / "new" / "text") as out:
        out.write("u x\n")
        out.flush()
        assert not (tmp_path / "new" / "text").exists()
    assert (tmp_path / "new" / "text").read_text() == "u x\n"
    mode = stat.S_IMODE((tmp_path / "new" / "text").stat().st_mode)
    assert mode == 0o666 & ~_umask()


def test_any_kind_of_file_is_replaced_at_once_and_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with replacing(tmp_path / "link") as temporary:
        temporary.write_bytes(b"\xff\x00")
        assert temporary.parent == tmp_path and (tmp_path / "real").read_bytes() == b"old"
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"\xff\x00"
    assert sorted(os.listdir(tmp_path)) == ["link", "real"]


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (read_json, b'{\n "a": ', r"f:2: not JSON \(Expecting value\); delete the file or mend it"),
        (read_json, b"\xff", "f: not UTF-8; delete the file or mend it"),
        (read_json, b"[]", "f: holds a list, not a dict; delete the file or mend it"),
        (read_yaml, b"a: 1\nb: c: 2\n", r"f:2: not YAML \(mapping values are not allowed here\); mend it"),
        (read_yaml, b"a: \x01\n", r"f: not YAML \(.*special characters are not allowed\); mend it"),
        (read_yaml, b"a: \xff\n", "f: not UTF-8; convert"),
        (read_yaml, b"", "f holds NoneType, a mapping of keys is needed"),
    ],
)
def test_a_broken_file_is_named(tmp_path, read, content, message):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "f")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
