"""Progress lines out of ESPnet's training log."""

from espnet_posinv.recipe.progress import clock, follow, parse

LINE = (
    "[host] 2026-01-01 00:00:00,000 (trainer:375) INFO: {epoch}epoch results: [train] iter_time=0.1, "
    "ssl_mse_loss=0.7, loss={loss}, clip=100.000, time=3.05 seconds, total_count=25, "
    "[valid] ssl_mse_loss=0.4, loss=0.51, time=1.2 seconds, total_count=1\n"
)


def test_parse_takes_the_loss_not_the_criterions():
    assert parse(LINE.format(epoch=3, loss="0.625")) == (3, {"train": 0.625, "valid": 0.51})
    assert parse(LINE.format(epoch=12, loss="1.5e-05")) == (12, {"train": 1.5e-5, "valid": 0.51})
    assert parse("(trainer:762) INFO: 1epoch:train:1-5batch: loss=3") is None


def test_clock():
    assert [clock(s) for s in (0, 65, 3725.4)] == ["0:00", "1:05", "1:02:05"]


def test_follow_skips_the_past_survives_half_lines_and_counts_down(tmp_path):
    log = tmp_path / "train.log"
    log.write_text(LINE.format(epoch=1, loss="9"))
    text = LINE.format(epoch=2, loss="0.5") + LINE.format(epoch=3, loss="0.4")
    pieces = [text[:50], text[50:300], text[300:]]
    time = {"now": 0.0}

    def sleep(seconds):
        time["now"] += 10
        if pieces:
            with open(log, "a") as out:
                out.write(pieces.pop(0))

    lines = list(follow(log, "ssl_mse", 4, lambda: bool(pieces), lambda: time["now"], sleep))
    assert lines == [
        "ssl_mse: epoch 2/4  train loss 0.5000  valid loss 0.5100  ETA 0:40",
        "ssl_mse: epoch 3/4  train loss 0.4000  valid loss 0.5100  ETA 0:15",
    ]
