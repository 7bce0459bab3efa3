"""Sections of studies: what is written is read back, and rendered with its pictures."""

from importlib.resources import files

import pytest
from PIL import Image

from espnet_posinv.criterions import CLASSES
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.report.document import (
    Line,
    Listing,
    Panel,
    Panels,
    Picture,
    Section,
    Strong,
    Table,
    interval,
    read_sections,
)
from espnet_posinv.report.figures import COLOURS
from espnet_posinv.report.markdown import markdown, write_markdown, write_study


def study(folder, title):
    folder.mkdir(parents=True)
    Image.new("RGB", (3, 2)).save(folder / "probe.png")
    line = Line("a", "ssl_mse", "o-", [0, 1], [2.0, 3.0], [1.0, 2.0], [3.0, 4.0])
    panels = Panels("curves", "Curves", [Panel("t", "x", "y", [line])], 2)
    table = Table(["system", "set"], [["a|b", Strong("+1.0")]], "Caption")
    section = Section(title, ["Text.", Picture(str(folder / "probe.png"), "probe"), panels, table])
    write_study(section, folder, "study")
    return section


def test_sections_come_back_in_order_and_go_into_another_file(tmp_path):
    written = {
        name: study(tmp_path / name, name) for name in ("ablation", "probe/b", "probe/a", "convergence/x")
    }
    found = read_sections(tmp_path)
    assert [section.title for section in found] == ["convergence/x", "probe/a", "probe/b", "ablation"]
    assert found[1].blocks[1] == written["probe/a"].blocks[1]  # the picture where it is
    assert found[1].blocks[2].panels == written["probe/a"].blocks[2].panels
    assert found[1].blocks[3] == written["probe/a"].blocks[3]
    images = tmp_path / "images"
    images.mkdir()
    write_markdown(Section("All", [*found, Listing("How", "a: 1\n")]), tmp_path / "R.md", images)
    text = (tmp_path / "R.md").read_text()
    assert text.startswith("# All\n\n## convergence/x\n\nText.\n\n![probe](images/x_probe.png)\n\n")
    assert "![Curves](images/b_curves.png)\n\nCaption:\n\n| system | set |\n| --- | ---: |\n" in text
    assert "| a\\|b | **+1.0** |" in text and "<summary>How</summary>\n\n```yaml\na: 1\n```" in text
    assert sorted(path.name for path in images.iterdir()) == [
        f"{folder}_{name}.png" for folder in ("a", "ablation", "b", "x") for name in ("curves", "probe")
    ]
    alone = (tmp_path / "probe/a/study.md").read_text()
    assert "![probe](probe.png)" in alone and "![Curves](curves.png)" in alone


def test_broken_sections_are_named(tmp_path):
    study(tmp_path / "probe/a", "a")
    (tmp_path / "probe/a/probe.png").unlink()
    with pytest.raises(DataError, match=r"section.json: no picture .*probe.png; run the study again"):
        read_sections(tmp_path)
    (tmp_path / "probe/a/section.json").write_text('{"kind": "Song"}')
    with pytest.raises(DataError, match=r"section.json: not the section of a study"):
        read_sections(tmp_path)


def test_numbers():
    assert interval((1.25, -1.0, 3)) == "1.2 [-1.0, 3.0]" and interval((None, None, None)) == "-"
    assert markdown(Table(["a"], [])) == "| a |\n| --- |"


def test_every_criterion_has_a_colour_in_figures_and_in_both_themes_of_the_page():
    page = files("espnet_posinv.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    for name in (*CLASSES, "noisy", "pretrained"):
        assert name in COLOURS and page.count(f"--{name}: #") == 2
