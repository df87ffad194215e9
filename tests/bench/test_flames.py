"""Flame graphs: what is drawn of which samples."""

from __future__ import annotations

import pytest

from bench.flames import draw, read

LOOP = "serve (app/cli/serve.py:15);Runner.run (asyncio/runners.py:118);"
SAMPLES = [
    f"{LOOP}Sluice.open (app/proxy/sluice.py:80);_deliver <b> (app/proxy/sluice.py:99) 60\n",
    f"{LOOP}Sluice.open (app/proxy/sluice.py:85) 20\n",
    f"{LOOP}read (lib/other.py:3) 20\n",
    "Thread.run (threading.py:9);wait (threading.py:331) 900\n",
]


def test_frames_are_merged_over_their_lines_and_other_threads_left_out() -> None:
    loop = read(SAMPLES)
    assert loop.samples == 100
    opened = loop.called["Sluice.open (app/proxy/sluice.py)"]
    assert opened.samples == 80
    assert opened.called["_deliver <b> (app/proxy/sluice.py)"].samples == 60


def test_the_picture_tells_each_share_and_escapes_names() -> None:
    picture = draw(read(SAMPLES), "The worker & all")
    assert "<title>Sluice.open (app/proxy/sluice.py): 80.0%</title>" in picture
    assert "<title>_deliver &lt;b&gt; (app/proxy/sluice.py): 60.0%</title>" in picture
    assert "The worker &amp; all" in picture and "threading" not in picture


def test_no_samples_are_no_picture() -> None:
    with pytest.raises(ValueError, match="no sample"):
        draw(read(SAMPLES[3:]), "nothing")
