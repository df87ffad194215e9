"""The bench can be trusted: what must hold and does not is said, and the page is made of best windows."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from bench.backlog import Drain
from bench.goals import figures
from bench.loads import (
    DIRECT,
    LATENCY_ONE,
    LITELLM,
    MANY,
    NGINX,
    ONE,
    PACED,
    STEADY,
    USUAL,
    VERBATIM,
    Load,
)
from bench.main import PAGES, is_written, options, planned
from bench.plan import FULL, MEMORY_AFTER, QUICK, window_seconds
from bench.plot import charts_of, draw
from bench.processes import Memory
from bench.report import render
from bench.results import Count, Results, Scaled, Soaked, Started, Window, missed

_WHOLE = Count(
    answered=100_000,
    sent=100_050,
    accepted=100_020,
    recorded=100_020,
    completed=100_000,
    dropped=0,
    catch_up_seconds=3,
)


def _window(load: Load, side: str, cpu_us: float, latency_ms: tuple[float, float] = (1.0, 2.0)) -> Window:
    helpers = {"upstream": 0.5, "client": 0.95}
    return Window(load.name, side, 1000, 1.0, cpu_us / 1000, *latency_ms, helpers)


def _results(json_us: float = 50, chunk_us: float = 50) -> Results:
    windows = [
        _window(load, side, cpu_us * noise)
        for load, ours in ((MANY, json_us), (STEADY, 90), (ONE, 90), (PACED, chunk_us))
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
    assert page.index("**2.50**") < page.index("## All windows") < page.index("processor")
    assert "the client may have been the limit" in page


@pytest.mark.parametrize(("json_us", "chunk_us", "load"), [(81, 50, MANY), (50, 51, PACED)])
def test_too_much_cpu_is_missed(json_us: float, chunk_us: float, load: Load) -> None:
    (line,) = missed(_results(json_us, chunk_us))
    assert line.startswith(load.name)


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
    results.drains = [Drain(12_000, 6.1, {"recorder": 300.0, "PostgreSQL": 50.0})]
    results.recorder_memory = Memory(100.0, 301.0, None)
    assert len(missed(results)) == 2
    assert "**1,967/s**" in render(results)
    results.drains.append(Drain(12_000, 5.9, {"recorder": 300.0, "PostgreSQL": 50.0}))
    results.recorder_memory = Memory(100.0, 299.0, None)
    assert missed(results) == []


def _verdicts(results: Results) -> dict[str, str]:
    return {each.name: each.verdict for each in figures(results)}


def test_a_figure_is_told_beside_its_goal_and_one_that_was_not_measured_is_not_guessed() -> None:
    verdicts = _verdicts(_results(json_us=32, chunk_us=33))
    assert verdicts["CPU per JSON exchange, 50 connections, times nginx's"] == "goal"
    assert verdicts["CPU per paced chunk, times nginx's"] == "**missed**"
    assert verdicts["added latency, 1 connection: p99"] == "not measured"
    assert _verdicts(_results(chunk_us=31))["CPU per paced chunk, times nginx's"] == "must"


def test_more_is_better_where_it_is() -> None:
    results = _results()
    slow = Drain(12_000, 5.0, {"recorder": 200.0, "PostgreSQL": 20.0, "search builder": 900.0}, 9_000)
    fast = Drain(12_000, 3.0, {"recorder": 100.0, "PostgreSQL": 20.0, "search builder": 900.0}, 9_999)
    results.drains = [slow, fast]
    verdicts = _verdicts(results)
    assert verdicts["exchanges a second out of the journal"] == "must"
    assert verdicts["exchanges a second into the journal, one core"] == "**missed**"
    results.drains = [slow, replace(fast, made_rate=20_001.0)]
    assert _verdicts(results)["exchanges a second into the journal, one core"] == "goal"
    assert verdicts["CPU per exchange, recorder and PostgreSQL"] == "goal"


def test_latency_is_what_is_added_to_a_direct_call_by_the_best_windows() -> None:
    results = _results()
    for noise in (1.0, 3.0):
        results.windows += [
            _window(LATENCY_ONE, DIRECT, 0, (0.02 * noise, 0.04 * noise)),
            _window(LATENCY_ONE, NGINX, 50, (0.12 * noise, 0.2 * noise)),
            _window(LATENCY_ONE, VERBATIM, 50, (0.14 * noise, 0.64 * noise)),
        ]
    ours, theirs = results.added_ms(LATENCY_ONE, VERBATIM), results.added_ms(LATENCY_ONE, NGINX)
    assert ours == pytest.approx((0.12, 0.6))
    assert theirs == pytest.approx((0.1, 0.16))
    verdicts = _verdicts(results)
    assert verdicts["added latency, 1 connection: p50, times nginx's"] == "goal"
    assert verdicts["added latency, 1 connection: p99"] == "must"
    assert "| 0.100 ms | 0.160 ms | 0.120 ms | 0.600 ms |" in render(results)


def test_others_are_told_as_multiples_of_verbatim() -> None:
    results = _results(json_us=50)
    assert "## Beside others" not in render(results)
    results.windows += [_window(MANY, USUAL, 2_000), _window(MANY, LITELLM, 15_000)]
    page = render(results)
    assert "2,000.0 µs, **40×**" in page
    assert "15,000.0 µs, **300×**" in page
    assert _verdicts(results)["CPU per exchange, times less than LiteLLM's"] == "goal"


@pytest.mark.parametrize(("ended_mb", "verdict"), [(60.0, "goal"), (61.9, "must"), (62.1, "**missed**")])
def test_memory_that_grows_with_the_exchanges_is_seen(ended_mb: float, verdict: str) -> None:
    results = _results()
    results.soaked = [
        Soaked(150_000, Memory(60.0, 60.0, None)),
        Soaked(1_000_100, Memory(ended_mb, 70.0, None)),
    ]
    assert _verdicts(results)["its growth since 100,000"] == verdict
    assert f"{ended_mb} MB after 1,000,100" in render(results)


def test_workers_and_starting_are_told() -> None:
    results = _results()
    results.scaled = [Scaled(1, 10_000.0, 50.0), Scaled(2, 15_000.0, 55.0)]
    results.started = Started(0.46, 114.0)
    page = render(results)
    assert "`VERBATIM_WORKERS=2` 15,000/s (**1.50×**), 55.0 µs each" in page
    assert "0.46 s of CPU" in page
    assert _verdicts(results)["`verbatim serve`, idle, without PostgreSQL (PSS)"] == "goal"


def test_the_picture_is_an_svg_whose_bars_are_as_long_as_their_values() -> None:
    results = _results(json_us=40)
    results.windows.append(_window(MANY, USUAL, 2_000))
    ratios, costs = charts_of(results)
    lengths = {bar.name: ratios.length(bar.value) for bar in ratios.bars}
    assert lengths[MANY.name] == pytest.approx(lengths[STEADY.name] * 2.0 / 4.5)
    assert [bar.name for bar in costs.bars] == [NGINX, VERBATIM, USUAL]
    # Ten times more is as much longer wherever it begins.
    assert costs.length(200) - costs.length(20) == pytest.approx(costs.length(2_000) - costs.length(200))
    root = ElementTree.fromstring(draw(results))
    assert root.tag.endswith("svg")
    assert "2.00" in [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_readme_tells_the_goals_that_the_page_is_set_beside() -> None:
    readme = (PAGES / "README.md").read_text()
    for each in figures(_results()):
        assert f"| {each.name} | {each.told(each.goal)} | {each.told(each.must)} |" in readme


def test_the_readme_tells_every_option() -> None:
    readme = (PAGES / "README.md").read_text()
    for action in options()._actions:
        if action.dest != "help":
            assert action.option_strings[0] in readme


@pytest.mark.parametrize(
    ("arguments", "more_seconds", "scale_to"),
    [
        ([], 0, 2),
        (["--workers", "1"], 0, 1),
        (["--soak", "1000000"], 1_000, 2),
        (["--peer", "litellm"], 180, 2),
    ],
)
def test_options_make_a_plan_with_time_for_it(
    arguments: list[str], more_seconds: float, scale_to: int
) -> None:
    plan = planned(options().parse_args(arguments))
    assert plan.limit_seconds == FULL.limit_seconds + more_seconds
    assert plan.scale_to == scale_to


@pytest.mark.parametrize(
    ("arguments", "is_kept"),
    [([], True), (["--quick"], False), (["--no-write"], False), (["--quick", "--write"], True)],
)
def test_a_full_run_keeps_its_page_and_a_quick_one_does_not(arguments: list[str], is_kept: bool) -> None:
    assert is_written(options().parse_args(arguments)) is is_kept
