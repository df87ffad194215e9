"""A flame graph of a process from py-spy's samples: an SVG, written by hand. Pure.

    py-spy record --nonblocking --rate 800 --duration 6 --format raw --output samples --pid PID
    python3 -m bench.flames "What it is of" <samples >flames.svg

Shown are the Python frames of what runs on the event loop. A frame is as wide as the share of samples that have it, and
what calls it lies beneath. (Without `--nonblocking` py-spy stops the process for each sample, which makes system calls
seem three times as dear as the kernel says they are.)
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape

_LOOP = "Runner.run (asyncio/runners.py"
_WIDTH, _ROW, _TITLE, _SIDE = 1200, 17, 36, 8
_CHARACTER = 6.3
"""Width of one, at the size of the text."""
_LEAST_SHARE = 0.002
_OURS, _OTHERS = "#8fb5f5", "#f2cf8c"


@dataclass(slots=True)
class Frame:
    """A function as called by those beneath it."""

    name: str
    samples: int = 0
    called: dict[str, Frame] = field(default_factory=dict)

    def depth(self, least: float) -> int:
        """Rows that it and what it calls take; what has fewer samples is not shown."""
        shown = [each.depth(least) for each in self.called.values() if each.samples >= least]
        return 1 + max(shown, default=0)


def read(lines: Iterable[str]) -> Frame:
    """The samples of the event loop, one tree; each line is `frame;frame;… samples`."""
    loop = Frame("event loop")
    for line in lines:
        stack, _, samples = line.rpartition(" ")
        # Line numbers go: `name (file:line)`.
        frames = [frame.rpartition(":")[0] or frame for frame in stack.split(";")]
        if _LOOP in frames:
            _add(loop, [f"{frame})" for frame in frames[frames.index(_LOOP) + 1 :]], int(samples))
    return loop


def _add(frame: Frame, names: list[str], samples: int) -> None:
    frame.samples += samples
    for name in names:
        frame = frame.called.setdefault(name, Frame(name))
        frame.samples += samples


def draw(root: Frame, title: str) -> str:
    """The picture, whole. Raises ValueError where there are no samples."""
    if not root.samples:
        raise ValueError("no sample of an event loop")
    rows = root.depth(root.samples * _LEAST_SHARE)
    height = _TITLE + _ROW * rows + _SIDE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="monospace" font-size="10.5">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_SIDE}" y="22" font-size="14" font-family="sans-serif">{escape(title)}</text>',
    ]
    _draw(parts, root, root.samples, _SIDE, height - _SIDE - _ROW)
    return "\n".join([*parts, "</svg>", ""])


def _draw(parts: list[str], frame: Frame, of: int, left: float, top: float) -> None:
    room = _WIDTH - 2 * _SIDE
    width = room * frame.samples / of
    told = frame.name[: max(0, int((width - 4) / _CHARACTER))]
    text = f'<text x="{left + 2:.1f}" y="{top + 12:.0f}">{escape(told)}</text>' if len(told) > 2 else ""
    parts.append(
        f"<g><title>{escape(frame.name)}: {frame.samples / of:.1%}</title>"
        f'<rect x="{left:.1f}" y="{top:.0f}" width="{max(0.3, width - 0.5):.1f}" height="{_ROW - 1}"'
        f' fill="{_colour(frame)}"/>{text}</g>'
    )
    for each in sorted(frame.called.values(), key=lambda called: called.name):
        if each.samples >= of * _LEAST_SHARE:
            _draw(parts, each, of, left, top - _ROW)
            left += room * each.samples / of


def _colour(frame: Frame) -> str:
    return _OURS if "(app/" in frame.name else _OTHERS


if __name__ == "__main__":
    sys.stdout.write(draw(read(sys.stdin), sys.argv[1]))
