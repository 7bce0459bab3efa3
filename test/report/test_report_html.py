"""report.html: whole, self-contained, sound without loss, and the same numbers as RESULTS.md."""

import base64
import io
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
import torch
import yaml
from PIL import Image

from espnet_posinv.criterions.ssl_softdtw import SSLSoftDTWLoss
from espnet_posinv.report.alignment import align
from espnet_posinv.report.document import Line, Panel, Panels, Picture, Section, Table
from espnet_posinv.report.experiment import Places, load
from espnet_posinv.report.html import write_html_report
from espnet_posinv.report.listen import choose, transcript
from espnet_posinv.report.markdown import write_study
from espnet_posinv.report.media import HOP, level, spectrogram_uri, themed_svg
from espnet_posinv.scoring.wer import count_errors, score_files

SETS = ["test_clean", "test_noisy"]
SYSTEMS = {
    "noisy": 2,
    "nsnet2": 3,
    "ssl_mse_enc_seed1": 1,
    "ssl_softdtw_enc_seed1": 1,
    "ssl_softdtw_enc_seed2": 1,
}
COUNT = 5
WORDS = ["alpha", "bravo", "charlie", "delta", "echo"]
VOID = {"meta", "link", "img", "br", "input", "hr"}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Scores, audio and trainings of five utterances as the recipe leaves them, a probe and convergence."""
    root = tmp_path_factory.mktemp("html")
    rng = np.random.default_rng(0)
    ids = [f"u{k}" for k in range(COUNT)]
    text = {i: list(rng.choice(WORDS, 6)) for i in ids}
    for test_set in SETS:
        data = root / "dump" / test_set
        data.mkdir(parents=True)
        (data / "text").write_text("".join(f"{i} {' '.join(text[i])}\n" for i in ids))
        if test_set == "test_noisy":
            (data / "utt2noise").write_text("".join(f"{i} fire\n" for i in ids))
            (data / "utt2snr").write_text("".join(f"{i} 3.0\n" for i in ids))
        folders = {"wav.scp": data, "spk1.scp": data}
        for name, folder in folders.items():
            (folder / name).write_text(wavs(folder, name[:3], ids, rng))
        for system, wrong in SYSTEMS.items():
            if system != "noisy":
                folder = root / "exp" / system / "enhanced" / test_set
                folder.mkdir(parents=True)
                (folder / "spk1.scp").write_text(wavs(folder, "enh", ids, rng))
            folder = root / "exp/decoded/rec" / system / test_set
            folder.mkdir(parents=True)
            count = {i: (wrong * k) % 5 if test_set == "test_noisy" else 0 for k, i in enumerate(ids)}
            heard = {i: ["zulu"] * count[i] + text[i][count[i] :] for i in ids}
            (folder / "text").write_text("".join(f"{i} {' '.join(heard[i])}\n" for i in ids))
            output = root / f"exp/scores/rec/{system}/{test_set}.json"
            score_files(data / "text", folder / "text", output, language="en", missing="error")
    train(root / "exp/ssl_softdtw_enc_seed1", root / "lost")
    folder = root / "exp/probe/tiny"
    folder.mkdir(parents=True)
    Image.new("RGB", (30, 20), "red").save(folder / "probe.png")
    table = Table(["a", "b"], [["x", "1"]])
    probe = Section("Position probe", [Picture(str(folder / "probe.png"), "probe"), table])
    write_study(probe, folder, "probe")
    line = Line("ssl_softdtw_enc", "ssl_softdtw", "o-", [0, 5], [30, 11], [30, 10], [30, 12])
    panels = Panels("convergence", "Curves", [Panel("", "updates", "WER, %", [line])], 2)
    for encoder in ("enc", "other"):
        (root / "exp/convergence" / encoder).mkdir(parents=True)
        section = Section("Convergence: enc", ["Development set.", panels])
        write_study(section, root / "exp/convergence" / encoder, "convergence")
    return root


def wavs(folder, kind, ids, rng):
    lines = []
    for k, i in enumerate(ids):
        path = folder / f"{kind}_{i}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(4000 + 800 * k), 16000, subtype="PCM_16")
        lines.append(f"{i} {path}\n")
    return "".join(lines)


def train(folder, encoder):
    from torch.utils.tensorboard import SummaryWriter

    conf = {"name": "ssl_softdtw", "conf": {"upstream": f"transformers:{encoder}"}}
    (folder / "config.yaml").write_text(
        yaml.safe_dump({"criterions": [conf], "seed": 1, "init_param": ["exp/nsnet2/model.pth"]})
    )
    for part in ("train", "valid"):
        with SummaryWriter(str(folder / "tensorboard" / part)) as writer:
            for k in (1, 2):
                writer.add_scalar("loss", 1 / k, 5 * k, walltime=100.0 * k)


@pytest.fixture(scope="module")
def places(recipe):
    return Places(recipe / "exp/scores", recipe / "dump", recipe / "exp", SETS, "test_clean")


@pytest.fixture(scope="module")
def experiment(places):
    return load(places)


class Page(HTMLParser):
    """Elements with their attributes; fails where tags do not close what was opened."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(experiment, tmp_path_factory):
    output = tmp_path_factory.mktemp("page") / "report.html"
    write_html_report(experiment, output, title="Mini & <more>", utterances=2)
    assert [path.name for path in output.parent.iterdir()] == ["report.html"]
    return Page(output.read_text())


def decoded(uri):
    kind, data = re.fullmatch(r"data:([a-z+/]+);base64,(.+)", uri).groups()
    return kind, io.BytesIO(base64.b64decode(data))


def test_nothing_is_loaded_and_ids_are_unique(page):
    addresses = [a[key] for _, a in page.elements for key in ("src", "href", "data", "poster") if key in a]
    assert addresses and all(address.startswith(("data:", "#")) for address in addresses)
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    targets = {address[1:] for address in addresses if address.startswith("#")}
    assert targets <= set(ids)
    assert {"wer", "listen", "alignment", *(f"section{k}" for k in range(1, 7))} <= targets
    assert "Mini & <more>" in page.text and page.all("html")[0]["lang"] == "en"


def test_sound_is_what_was_scored(page, recipe):
    audio = page.all("audio")
    assert len(audio) == 2 * 5  # two utterances of noisy, nsnet2, two criterions (first seed), clean
    kind, file = decoded(audio[3]["src"])
    samples, rate = soundfile.read(file, dtype="int16")
    paths = sorted((recipe / "exp/ssl_softdtw_enc_seed1/enhanced/test_noisy").glob("*.wav"))
    originals = [soundfile.read(path, dtype="int16")[0] for path in paths]
    assert (kind, rate) == ("audio/flac", 16000)
    assert any(np.array_equal(samples, original) for original in originals)
    pictures = [decoded(a["src"]) for a in page.all("img")]
    assert [kind for kind, _ in pictures].count("image/webp") == 10
    assert all(min(Image.open(file).size) >= 20 for _, file in pictures)


def test_numbers_and_accessible_tables(page, experiment):
    cell = experiment.words["rec"]["nsnet2"]["test_noisy"]
    value, low, high = cell.wer()
    assert re.search(rf"{value:.1f}\s+\[{low:.1f}, {high:.1f}\]", page.text)
    assert all("scope" in a for a in page.all("th"))
    assert all(a.get("alt") for a in page.all("img")) and all(a.get("aria-label") for a in page.all("audio"))
    assert all(a.get("role") == "img" and a.get("aria-label") for a in page.all("svg"))
    assert "held out" in page.text and "2 seeds" in page.text and "Position probe" in page.text
    assert "the encoder of the training could not be loaded" in page.text and "lost" in page.text


def test_choice_is_by_change_of_errors(experiment):
    table = experiment.words["rec"]
    rule, chosen = choose(experiment, "test_noisy", 3)
    after, before = (table[s]["test_noisy"].errors for s in ("ssl_softdtw_enc", "nsnet2"))
    change = after - before  # all have six words
    assert "ssl_softdtw_enc minus those of nsnet2" in rule
    assert change[int(chosen[0][0][1:])] == change.min() < 0 < change[int(chosen[-1][0][1:])] == change.max()
    assert sorted(change)[2] == change[int(chosen[1][0][1:])]
    assert chosen[0][1].startswith(f"1 of 5, WER {100 * change.min() / 6:+.0f}")
    assert len(choose(experiment, "test_noisy", 99)[1]) == COUNT
    assert len(choose(experiment, "test_noisy", 1)[1]) == 1


@pytest.mark.parametrize(
    ("ref", "hyp"), [("a b c d", "a x c e f"), ("a b", ""), ("", "a b"), ("a", "a"), ("a b c", "c a b")]
)
def test_marks_add_up(ref, hyp):
    score = {**count_errors(ref, hyp), "ref": ref, "hyp": hyp}
    found = transcript("rec", score, "phones")
    assert (found.count, found.unit) == (len(ref.split()), "phones")
    assert " ".join(heard for _, heard, _ in found.pieces if heard) == hyp
    assert " ".join(spoken for _, _, spoken in found.pieces if spoken) == ref
    wrong = sum(max(len(h.split()), len(s.split())) for kind, h, s in found.pieces if kind != "equal")
    assert wrong == found.errors


def test_spectrogram_shows_a_tone_where_it_is():
    t = np.arange(16000) / 16000
    tone = 0.3 * np.sin(2 * np.pi * 2000 * t) * (t > 0.5)
    kind, file = decoded(spectrogram_uri(tone, level(tone)))
    pixels = np.asarray(Image.open(file).convert("L"), float)
    assert kind == "image/webp" and pixels.shape == (128, 16000 // HOP + 1)
    row = pixels[:, 130].argmax()
    assert row == pytest.approx(128 - 2000 / 62.5, abs=1.5)  # upwards
    assert pixels[:, :70].max() < 0.1 * pixels.max() < pixels[row, 130]


def test_svg_takes_the_colours_of_the_page():
    def draw(axis):
        axis.plot([0, 1], [0, 1], "o-", color="#D55E00")
        axis.grid(color="#dddddd")
        axis.imshow(np.eye(3), extent=(0, 1, 0, 1))
        axis.set_xlabel("a & b")

    one, two = (themed_svg(name, "A <label>", draw) for name in ("one", "two"))
    for name, svg in (("one", one), ("two", two)):
        root = ET.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
        ids = [element.get("id") for element in root.iter() if element.get("id")]
        assert ids and all(i.startswith(f"{name}-") for i in ids) and len(ids) == len(set(ids))
        used = re.findall(r"url\(#([^)]+)\)", svg) + re.findall(r'href="#([^"]+)"', svg)
        assert used and set(used) <= set(ids)
    assert "var(--ssl_softdtw)" in one and "currentColor" in one and "var(--line)" in one
    assert not re.search(r"#(131415|d55e00|dddddd|000000)", one)


def test_alignment_finds_where_the_content_is():
    rng = np.random.default_rng(0)
    t = np.arange(16000) / 16000
    clean = 10 ** (3 * t - 3) * np.sin(2 * np.pi * 1000 * t)  # every moment has its own level

    def encode(wav, lengths):
        energy = wav.unfold(1, 640, 320).square().mean(-1, keepdim=True)
        return torch.log(energy + 1e-9), torch.tensor([energy.shape[1]])

    options = {"gamma": 0.01, "normalize_frames": False}
    criterion = SSLSoftDTWLoss("none", **options)
    criterion.encoder = lambda device: encode
    path, loss, near = align(criterion, clean, clean, 0.9)
    assert path.shape == (49, 54) and path[0, 0] == pytest.approx(1) and path[-1, -1] == pytest.approx(1)
    assert near > 0.95
    _, other_loss, other_near = align(criterion, clean, rng.standard_normal(16000), 0.9)
    assert other_loss > loss and other_near < near
    criterion.scale = "none"
    assert align(criterion, clean, clean, 0.9)[1] == pytest.approx(loss * (49 + 54), rel=1e-5)


def test_command(recipe, places, tmp_path, capsys):
    from espnet_posinv.cli import command

    main = command("report")

    options = ["--data-dir", str(places.data), "--exp-dir", str(places.experiments), "--utterances", "0"]
    options += [
        "--test-sets",
        " ".join(SETS),
        "--output",
        str(tmp_path / "R.md"),
        "--html",
        str(tmp_path / "report.html"),
    ]
    main(["--scores-dir", str(places.scores), *options])
    assert "report.html, 0." in capsys.readouterr().out
    results = (tmp_path / "R.md").read_text()
    assert "\n## Position probe\n\n![probe](images/tiny_probe.png)\n" in results
    assert (tmp_path / "images/tiny_probe.png").read_bytes() == (
        recipe / "exp/probe/tiny/probe.png"
    ).read_bytes()
    page = Page((tmp_path / "report.html").read_text())
    assert not page.all("audio")
    with pytest.raises(SystemExit, match="no scores of test_clean test_noisy; run stage 8"):
        main(["--scores-dir", str(tmp_path), *options])
