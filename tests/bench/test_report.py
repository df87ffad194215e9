"""The bench can be trusted: what must hold and does not is said, and the page is made of best windows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.backlog import Drain
from bench.plan import FULL, MEMORY_AFTER, QUICK, window_seconds
from bench.processes import Memory
from bench.report import MANY, NGINX, ONE, PACED, STEADY, VERBATIM, Count, Results, Window, missed, render

_WHOLE = Count(
    answered=100_000,
    sent=100_050,
    accepted=100_020,
    recorded=100_020,
    completed=100_000,
    dropped=0,
    catch_up_seconds=3,
)


def _window(kind: str, side: str, cpu_us: float) -> Window:
    return Window(kind, side, 1000, 1.0, cpu_us / 1000, 1.0, 2.0, {"upstream": 0.5, "client": 0.95})


def _results(json_us: float = 50, chunk_us: float = 50) -> Results:
    windows = [
        _window(kind, side, cpu_us * noise)
        for kind, ours in ((MANY, json_us), (STEADY, 90), (ONE, 90), (PACED, chunk_us))
        for side, cpu_us in ((NGINX, 20.0), (VERBATIM, ours))
        for noise in (1.7, 1.0, 1.2)
    ]
    return Results(
        machine=[("processor", "one")],
        windows=windows,
        count=_WHOLE,
        memory=Memory(70.0, 75.0, 50.0),
        memory_after=MEMORY_AFTER,
    )


def test_a_run_that_holds_everything_misses_nothing() -> None:
    results = _results()
    assert missed(results) == []
    assert results.ratio(MANY) == pytest.approx(2.5)
    page = render(results)
    assert "**2.50** | 4 |" in page
    assert page.index("**2.50**") < page.index("processor")
    assert "the client may have been the limit" in page


@pytest.mark.parametrize(("json_us", "chunk_us", "kind"), [(81, 50, MANY), (50, 51, PACED)])
def test_too_much_cpu_is_missed(json_us: float, chunk_us: float, kind: str) -> None:
    (line,) = missed(_results(json_us, chunk_us))
    assert line.startswith(kind)


@pytest.mark.parametrize(
    "changed",
    [
        {"recorded": 100_019},
        {"completed": 99_999},
        {"accepted": 100_051, "recorded": 100_051},
        {"dropped": 1},
    ],
)
def test_an_exchange_that_is_missing_is_missed(changed: dict[str, int]) -> None:
    results = _results()
    results.count = replace(_WHOLE, **changed)
    assert len(missed(results)) == 1


def test_too_much_memory_or_too_few_exchanges_before_it_is_read_are_missed() -> None:
    results = _results()
    results.memory = Memory(80.1, 90.0, None)
    results.memory_after = MEMORY_AFTER - 1
    assert len(missed(results)) == 2
    results.is_quick = True
    assert len(missed(results)) == 1


def test_what_went_wrong_on_the_way_is_missed() -> None:
    results = _results()
    results.complaints.append("nginx: 1 of 50 streams were not whole")
    assert missed(results) == results.complaints


def test_a_window_records_a_bounded_number_of_exchanges() -> None:
    assert window_seconds(FULL, rate=2_000) == FULL.many_seconds
    assert window_seconds(FULL, rate=15_000) == 2
    assert window_seconds(QUICK, rate=1e9) == 1
    assert window_seconds(FULL, rate=0) == FULL.many_seconds


def test_a_recorder_that_is_too_slow_or_too_large_is_missed() -> None:
    results = _results()
    results.drain = Drain(12_000, 6.1, {"recorder": 300.0})
    results.recorder_memory = Memory(100.0, 301.0, None)
    assert len(missed(results)) == 2
    assert "**1,967/s**" in render(results)
    results.drain = Drain(12_000, 5.9, {"recorder": 300.0})
    results.recorder_memory = Memory(100.0, 299.0, None)
    assert missed(results) == []
