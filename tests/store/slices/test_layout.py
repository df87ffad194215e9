"""Layouts: a body that was cut is put together again, and a conversation that goes on needs no new one."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import StoreError
from app.exchange import Slice, SliceKind
from app.store.slices.layout import CutBody, lay_out, runs_of


def rebuilt(body: bytes, parts: CutBody) -> bytes:
    """The body from its parts alone."""
    chains = {
        kind: [body[start:end] for start, end in (parts.tip if kind == SliceKind.TALK else parts.head)]
        for kind in SliceKind
    }
    return b"".join(
        parts.layout[run.index : run.index + run.count]
        if run.kind == SliceKind.REST
        else b"".join(chains[run.kind][run.index : run.index + run.count])
        for run in runs_of(parts.layout, len(parts.head), len(parts.tip))
    )


@given(st.lists(st.tuples(st.sampled_from(SliceKind), st.integers(1, 40)), max_size=30))
def test_any_cut_gives_the_body_back(sizes: list[tuple[SliceKind, int]]) -> None:
    cut: list[Slice] = []
    end = 0
    for kind, size in sizes:
        end += size
        cut.append((kind, end))
    body = os.urandom(end)
    assert rebuilt(body, lay_out(body, cut)) == body


def test_more_talk_needs_no_new_layout() -> None:
    def layout(turns: int) -> bytes:
        body = json.dumps({"messages": ["m" * 9] * turns, "n": 1}).encode()
        ends = [14 + 13 * (turn + 1) for turn in range(turns)]
        cut = [(SliceKind.REST, 13), *((SliceKind.TALK, each) for each in ends), (SliceKind.REST, len(body))]
        parts = lay_out(body, cut)
        assert rebuilt(body, parts) == body
        return parts.layout

    assert layout(2) == layout(50)


def test_a_layout_that_does_not_fit_its_chains_is_refused() -> None:
    body = b"a" * 40
    cut = [(SliceKind.TOOLS, 10), (SliceKind.TALK, 20), (SliceKind.REST, 30), (SliceKind.TALK, 40)]
    layout = lay_out(body, cut).layout
    assert len(runs_of(layout, 1, 2)) == 4
    for head, tip in ((0, 2), (2, 2), (1, 0)):
        with pytest.raises(StoreError, match="fit"):
            runs_of(layout, head, tip)


@pytest.mark.parametrize("layout", [b"", b"\x92\x91\x01\xc4\x00", b"\x92\x92\x09\x01\xc4\x00", b"noise"])
def test_a_damaged_layout_is_refused(layout: bytes) -> None:
    with pytest.raises(StoreError, match="damaged"):
        runs_of(layout, 0, 0)
