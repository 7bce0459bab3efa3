"""Reading and writing files of entries."""

import pytest

from espnet_posinv.kaldi.scp import DataError, entries, fields, read_scp, write_scp


def write(path, data: bytes):
    path.write_bytes(data)
    return path


def test_separators_and_order(tmp_path):
    file = write(tmp_path / "wav.scp", b"b\t/x/b.wav\na  sox a.wav -t wav - | \r\nc /x/with blank.wav")
    assert read_scp(file) == {"b": "/x/b.wav", "a": "sox a.wav -t wav - |", "c": "/x/with blank.wav"}
    assert list(read_scp(file)) == ["b", "a", "c"]
    assert [number for number, _, _ in entries(file)] == [1, 2, 3]


@pytest.mark.parametrize("space", ["\u3000", "\u00a0", "\u2028", "\x85", "\x0b", "\x1c"])
def test_only_ascii_blanks_separate_and_only_newline_ends_a_line(tmp_path, space):
    text = f"{space}grüß{space}dich{space}"
    write_scp(tmp_path / "text", {"u1": text, "u2": "x"})
    assert read_scp(tmp_path / "text") == {"u1": text, "u2": "x"}


@pytest.mark.parametrize(
    ("content", "line", "what"),
    [
        (b"a x\n\nb y\n", 2, "blank line"),
        (b" a x\n", 1, "blank before the key"),
        (b"a x\nb\n", 2, "'b' has no value"),
        (b"a x\nb y\na z\n", 3, "'a' was already given in line 1"),
        (b"a x\nb \xff\n", 2, "not UTF-8"),
    ],
)
def test_bad_lines_are_named(tmp_path, content, line, what):
    file = write(tmp_path / "wav.scp", content)
    with pytest.raises(DataError, match=what) as error:
        read_scp(file)
    assert str(error.value).startswith(f"{file}:{line}: ")


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"none\.scp: no such file"):
        read_scp(tmp_path / "none.scp")


def test_empty_transcript(tmp_path):
    file = write(tmp_path / "text", b"a\nb \nc x\n")
    assert read_scp(file, empty_values=True) == {"a": "", "b": "", "c": "x"}


def test_sorted_like_the_C_locale(tmp_path):
    keys = ["a-1", "a", "B", "aé", "a_1", "a1", "ａ", "😀", "z"]
    write_scp(tmp_path / "utt2spk", dict.fromkeys(keys, "s"))
    written = [line.split(b" ")[0] for line in (tmp_path / "utt2spk").read_bytes().splitlines()]
    assert written == sorted(key.encode() for key in keys)


def test_a_byte_order_mark_is_no_part_of_an_id(tmp_path):
    mark = "\ufeff".encode()
    # as some editors write it, and as it stands after `cat` of two such files
    file = write(tmp_path / "text", mark + b"a one\nb two\n" + mark + b"c three\n")
    assert read_scp(file) == {"a": "one", "b": "two", "c": "three"}
    inside = write(tmp_path / "text", b"a one " + mark + b"two\n")
    assert read_scp(inside) == {"a": "one \ufefftwo"}


def test_fields_are_split_as_entries_are():
    assert fields("r\u00a01 \t 0  1.5\r\n") == ["r\u00a01", "0", "1.5"]
