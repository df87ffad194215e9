"""How a body that was cut is put together again.

Of such a body three nodes are kept. The *head* ends the chain of what lasts: tools, then the system prompt, then large
parts. The *tip* ends the chain of the talk. The *tail* is one slice, the layout: a plan, and the bytes that stand
between the others. So a setting that changes with every call makes a new layout and nothing else, and a
conversation that goes on needs no new one: the last run of the talk is "all that is left".

A layout is MessagePack: a list of kinds with counts, and the rest of the body. The count is of bytes for the rest, of
slices for all others, and 0 for a last run of talk.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from app.errors import StoreError
from app.exchange import Slice, SliceKind
from app.frozen import value

Span = tuple[int, int]
"""From where to where a slice goes in its body."""
LASTING = (SliceKind.TOOLS, SliceKind.PROMPT, SliceKind.LARGE)
"""The kinds in the chain of the head, in its order."""

_layouts = msgspec.msgpack.Decoder(tuple[list[int], bytes])


@value
class CutBody:
    """A body as its parts: where the slices of both chains are in it, and its layout."""

    head: list[Span]
    tip: list[Span]
    layout: bytes


@value
class Run:
    """The next bytes of a body: so many slices of a chain, or bytes of the layout."""

    kind: SliceKind
    index: int
    """From which slice of its chain, or from which byte of the layout."""
    count: int


def lay_out(body: bytes, cut: Sequence[Slice]) -> CutBody:
    """The parts of a body that was cut so."""
    spans: dict[SliceKind, list[Span]] = {kind: [] for kind in SliceKind}
    plan: list[int] = []
    begin = 0
    for kind, end in cut:
        size = end - begin if kind == SliceKind.REST else 1
        if plan and plan[-2] == kind:
            plan[-1] += size
        else:
            plan += (int(kind), size)
        spans[kind].append((begin, end))
        begin = end
    _leave_talk_open(plan)
    rest = b"".join(body[start:end] for start, end in spans[SliceKind.REST])
    head = [span for kind in LASTING for span in spans[kind]]
    return CutBody(head, spans[SliceKind.TALK], msgspec.msgpack.encode((plan, rest)))


def runs_of(layout: bytes, head_slices: int, tip_slices: int) -> list[Run]:
    """The runs of a body in order, for chains of so many slices; raises StoreError where they do not fit."""
    try:
        plan, rest = _layouts.decode(layout)
        counted = [(SliceKind(kind), count) for kind, count in zip(plan[::2], plan[1::2], strict=True)]
    except (msgspec.MsgspecError, ValueError) as error:
        raise StoreError("the layout of a body is damaged") from error
    sums = [0, 0, 0, 0, 0]
    for kind, count in counted:
        sums[kind] += count
    rest_sum, tools, prompts, larges, talks = sums
    left = tip_slices - talks
    fits = left > 0 if (SliceKind.TALK, 0) in counted else left == 0
    if not fits or rest_sum != len(rest) or head_slices != tools + prompts + larges:
        raise StoreError("the layout of a body and its slices do not fit")
    at = [len(layout) - len(rest), 0, tools, tools + prompts, 0]
    runs = []
    for kind, count in counted:
        runs.append(Run(kind, at[kind], count or left))
        at[kind] += count
    return runs


def _leave_talk_open(plan: list[int]) -> None:
    for position in range(len(plan) - 2, -1, -2):
        if plan[position] == SliceKind.TALK:
            plan[position + 1] = 0
            return
