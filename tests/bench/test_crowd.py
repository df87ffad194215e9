"""Many slow streams: whole ones count, broken ones do not."""

from __future__ import annotations

import asyncio

from bench.crowd import Crowd, CrowdResult, events_of
from bench.loads import NGINX, VERBATIM
from bench.many import SPACING_SECONDS, Many, Side, render, upstream
from bench.payloads import chunked, request_parts, stream_head

EVENTS = 3


async def test_streams_of_the_real_upstream_are_whole() -> None:
    events = events_of(EVENTS)
    async with upstream(EVENTS, None) as port:
        crowd = Crowd(port, request_parts("here", stream=True), events, SPACING_SECONDS)
        await crowd.open(20, within_seconds=0.1, start=1)
        result = await crowd.join()
        crowd.close()
    assert (result.whole, result.events) == (20, 20 * EVENTS)


async def test_other_chunks_with_the_same_bytes_are_whole_and_other_bytes_are_not() -> None:
    events = events_of(EVENTS)
    merged = stream_head() + chunked(events[0] + events[1]) + chunked(events[2]) + chunked(b"")
    cut = stream_head() + chunked(events[0])
    other = stream_head() + b"".join(map(chunked, [events[0], b"data: no\n\n", events[2]])) + chunked(b"")
    answers = iter([merged, cut, other])

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(next(answers))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        crowd = Crowd(port, request_parts("here", stream=True), events, 0.0)
        await crowd.open(3, within_seconds=0.0, start=1)
        result = await crowd.join()
        crowd.close()
    assert result.whole == 1


def test_what_must_hold_is_told_where_it_does_not() -> None:
    many = Many(10, 60, is_tls=False)
    many.sides[NGINX] = Side(CrowdResult(10, 600, 0.0), 1.0, 1.0, 2.0, 0.0, 0.0)
    many.sides[VERBATIM] = Side(CrowdResult(10, 600, 0.0), 1.0, 1.0, 3.0, 0.0, 10 * 15_000.0)
    assert many.problems() == []
    assert "15.0 KB" in render(many)
    many.accepted, many.recorded = 11, 10
    many.sides[VERBATIM] = Side(CrowdResult(9, 540, 0.0), 1.0, 1.0, 8.0, 0.0, 10 * 25_000.0)
    assert [each.split()[0] for each in many.problems()] == ["1", "10", "a", "others"]
