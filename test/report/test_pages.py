"""Markdown pages as sections of another: level of headings, pictures, order."""

import pytest

from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.report.pages import find_pages, section


def test_headings_are_lowered_and_pictures_copied(tmp_path):
    page = tmp_path / "probe/base/probe.md"
    page.parent.mkdir(parents=True)
    page.write_text("# Probe: #1\n\n![what it shows](probe.png)\n\n## More\n\n#no heading\n")
    images = tmp_path / "images"
    images.mkdir()
    with pytest.raises(DataError, match=r"probe.md: no picture .*probe.png"):
        section(page, images)
    (page.parent / "probe.png").write_bytes(b"png")
    text = section(page, images)
    assert text == ("## Probe: #1\n\n![what it shows](images/base_probe.png)\n\n### More\n\n#no heading")
    assert (images / "base_probe.png").read_bytes() == b"png"
    page.write_text("## Convergence\n\n### Of WER")
    assert section(page, images) == "## Convergence\n\n### Of WER"


def test_pages_are_found_in_order(tmp_path):
    for name in ("ablation/table.md", "probe/b/probe.md", "probe/a/probe.md", "convergence/x/convergence.md"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in find_pages(tmp_path)]
    assert found == [
        "convergence/x/convergence.md",
        "probe/a/probe.md",
        "probe/b/probe.md",
        "ablation/table.md",
    ]
