# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress that is not on a terminal: a line for each step."""

import io

from rich.console import Console

from export.display import showing_progress


def test_a_log_gets_a_line_for_each_step_and_none_for_details():
    out = io.StringIO()
    with showing_progress(Console(file=out, width=20), "importing tensorflow") as progress:
        for epoch in range(50):
            progress(f"training the network on [many] orbits, validation loss {epoch}", epoch / 50)
        progress("judging", 0.0)
    steps = [line.split(" s  ", 1)[1] for line in out.getvalue().splitlines()]
    assert steps == ["importing tensorflow", "training the network on [many] orbits, validation loss 0", "judging"]


def test_a_long_step_is_shown_again(monkeypatch):
    now_s = iter([0.0, 0.0, 1.0, 20.0])
    monkeypatch.setattr("export.display.time.monotonic", lambda: next(now_s))
    out = io.StringIO()
    with showing_progress(Console(file=out), "training") as progress:
        progress("training, loss 2", 0.1)
        progress("training, loss 1", 0.5)
    assert out.getvalue().splitlines() == ["   0 s  training", "  20 s  training, loss 1 (50%)"]


def test_a_terminal_gets_one_bar():
    out = io.StringIO()
    with showing_progress(Console(file=out, force_terminal=True, width=80), "starting") as progress:
        progress("judging", 1.0)
    assert "judging" in out.getvalue()
    assert "━" in out.getvalue()
