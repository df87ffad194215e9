"""The ratios of a run as a picture: an SVG of two rows of bars, written by hand. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from math import log10

from bench.loads import COMPARED, LITELLM, MANY, NGINX, USUAL, VERBATIM
from bench.results import Results

_WIDTH, _LEFT, _RIGHT = 780, 250, 90
_ROW, _BAR, _TITLE, _GAP = 26, 16, 34, 18
_NGINX_COLOUR, _COLOUR, _OTHER_COLOUR = "#8a93a0", "#2f6fde", "#c8803a"


@dataclass(frozen=True, slots=True)
class Bar:
    """One value of a chart."""

    name: str
    value: float
    told: str
    colour: str = _COLOUR


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars beneath a title."""

    title: str
    bars: list[Bar]
    is_log: bool = False
    line_at: float | None = None
    """A value that a dashed line marks."""

    @property
    def height(self) -> int:
        """In pixels."""
        return _TITLE + _ROW * len(self.bars) + _GAP

    def length(self, value: float) -> float:
        """Of a bar, in pixels."""
        most = max(bar.value for bar in self.bars)
        room = _WIDTH - _LEFT - _RIGHT
        if not self.is_log:
            return room * value / most
        least = min(bar.value for bar in self.bars) / 3
        return room * log10(value / least) / log10(most / least)


def draw(results: Results) -> str:
    """The picture, whole."""
    charts = charts_of(results)
    height = sum(chart.height for chart in charts)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    top = 0
    for chart in charts:
        parts += _drawn(chart, top)
        top += chart.height
    return "\n".join([*parts, "</svg>", ""])


def charts_of(results: Results) -> list[Chart]:
    """CPU beside nginx by kind of traffic; CPU of a JSON exchange by proxy."""
    ratios = [
        Bar(load.name, results.ratio(load), f"{results.ratio(load):.2f}")
        for load in COMPARED
        if results.has(load, NGINX, VERBATIM)
    ]
    colours = {NGINX: _NGINX_COLOUR, VERBATIM: _COLOUR, USUAL: _OTHER_COLOUR, LITELLM: _OTHER_COLOUR}
    costs = [
        Bar(side, cpu_us, f"{cpu_us:,.0f} µs", colour)
        for side, colour in colours.items()
        if results.has(MANY, side) and (cpu_us := results.best(MANY, side).cpu_us) > 0
    ]
    return [
        Chart("CPU of Verbatim's worker, times nginx's (the dashed line)", ratios, line_at=1.0),
        Chart(
            "CPU per JSON exchange, 50 connections (logarithmic); only Verbatim records", costs, is_log=True
        ),
    ]


def _drawn(chart: Chart, top: int) -> list[str]:
    parts = [f'<text x="12" y="{top + 22}" font-weight="bold">{escape(chart.title)}</text>']
    for index, bar in enumerate(chart.bars):
        y = top + _TITLE + index * _ROW
        length = chart.length(bar.value)
        middle = y + _BAR - 3
        parts += [
            f'<text x="{_LEFT - 8}" y="{middle}" text-anchor="end">{escape(bar.name)}</text>',
            f'<rect x="{_LEFT}" y="{y}" width="{length:.1f}" height="{_BAR}" fill="{bar.colour}"/>',
            f'<text x="{_LEFT + length + 6:.1f}" y="{middle}">{escape(bar.told)}</text>',
        ]
    if chart.line_at is not None:
        x = _LEFT + chart.length(chart.line_at)
        end = top + _TITLE + len(chart.bars) * _ROW
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top + _TITLE - 6}" y2="{end}" stroke="#444" stroke-dasharray="4 3"/>'
        )
    return parts
