"""Upstreams whose answers lie about where they end, or that cannot be reached: one call fails, the next is answered."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.upstream import Connection, Script, ScriptedUpstream, answering, make_certificates
from tests.faults.conftest import Row
from tests.faults.judge import Allowed, fetch
from tests.faults.oracle import CANARY, Received, expected
from tests.faults.world import World, world
from tests.product import free_port
from tests.proxy.test_dial import full_port as full_port

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
SPLICED = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
CHUNKS = 3
FAILED = Allowed(frozenset({"upstream_failed"}))
ANSWER_SECONDS = 60.0
HOW = "SELECT split_part(path, '/', 5) AS how, outcome, status FROM exchanges WHERE upstream = 'odd'"
WHERE = "SELECT upstream, outcome, status FROM exchanges WHERE upstream <> 'v1'"


@dataclass(frozen=True)
class Odd:
    """What an upstream makes of a body, and what becomes of it."""

    answer: Callable[[bytes], bytes]
    status: int = 200
    is_whole: bool = True
    ends: bool = False
    """The upstream closes the connection after it."""


def _sized(body: bytes, head: bytes = OK) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _chunk(body: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return CHUNKED + b"%x\r\n%b\r\n" % (len(body), body) + end


ODD = {
    "plain": Odd(_sized),
    "length-too-long": Odd(
        lambda body: OK + b"Content-Length: %d\r\n\r\n" % (len(body) + 9) + body, is_whole=False, ends=True
    ),
    "length-too-short": Odd(lambda body: _sized(body) + SPLICED),
    "no-length": Odd(lambda body: OK + b"\r\n" + body, ends=True),
    "two-lengths": Odd(lambda body: _sized(body, OK + b"Content-Length: 1\r\n"), 502),
    "length-and-chunks": Odd(lambda body: OK + b"Content-Length: 1\r\n" + _chunk(body)[len(OK) :], 502),
    "chunk-size-of-letters": Odd(lambda body: _chunk(body, b"zz\r\n\r\n"), is_whole=False),
    "chunk-size-without-end": Odd(lambda body: _chunk(body, b"f" * 18 + b"\r\n"), is_whole=False),
    "chunk-longer-than-it-says": Odd(
        lambda body: CHUNKED + b"9\r\n" + body + b"\r\n0\r\n\r\n", is_whole=False
    ),
    "chunk-cut-off": Odd(
        lambda body: CHUNKED + b"%x\r\n" % (len(body) + 1) + body, is_whole=False, ends=True
    ),
    "no-last-chunk": Odd(lambda body: _chunk(body, b""), is_whole=False, ends=True),
    "surplus-after-chunks": Odd(lambda body: _chunk(body) + SPLICED),
    "informational": Odd(
        lambda body: b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\nLink: a\r\n\r\n" + _sized(body)
    ),
    "trailers": Odd(lambda body: _chunk(body, b"0\r\nX-End: 1\r\n\r\n")),
    "no-content-with-a-body": Odd(lambda body: b"HTTP/1.1 204 N\r\nContent-Length: 3\r\n\r\n" + body, 204),
    "http-1.0": Odd(lambda body: b"HTTP/1.0 200 OK\r\n\r\n" + body, ends=True),
    "http-1.0-kept": Odd(lambda body: _sized(body, b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n")),
    "line-feeds": Odd(lambda body: b"HTTP/1.1 200 OK\nContent-Length: 3\n\n" + body, 502),
    "no-http": Odd(lambda body: b"SSH-2.0-OpenSSH_9.2\r\n" + body, 502),
    "nothing": Odd(lambda _: b"", 502, ends=True),
}


async def odd_upstream(connection: Connection) -> None:
    """Answers `/NUMBER/CHUNKS/HOW` so."""
    while (request := await connection.read_request()) is not None:
        number, chunks, how = request.target.split(b"/")[1:4]
        odd = ODD[how.decode()]
        await connection.send(odd.answer(expected(int(number), int(chunks))))
        if odd.ends:
            return


@pytest.mark.row("U4", ci=2, soak=50)
async def test_an_answer_that_lies_about_its_end_is_never_taken_for_another_and_the_next_call_has_its_own(
    tmp_path: Path, database_url: str, row: Row
) -> None:
    async with (
        ScriptedUpstream(odd_upstream) as odd,
        world(tmp_path, database_url, upstreams=f"odd=http://127.0.0.1:{odd.port}") as made,
    ):
        async with made.load(2):
            for _ in row.turns():
                await asyncio.gather(*[_ask_twice(made, how) for how in ODD])
        verdict = await made.judge(FAILED)
        found = Counter(tuple(each.values()) for each in await fetch(made.database_url, HOW))
        for how, odd_one in ODD.items():
            is_good = odd_one.is_whole and odd_one.status < 500
            end = (how, "completed" if is_good else "upstream_failed", odd_one.status)
            assert found.pop(end, 0) == row.times * (len(ODD) + 1 if how == "plain" else 1), how
        assert not found
        row.tell(held=verdict, kinds=len(ODD) - 1)


async def _ask_twice(made: World, how: str) -> None:
    """An odd call and an ordinary one, on one connection if it lasts."""
    caller = Caller(made)
    for each in (how, "plain"):
        got = await caller.ask("odd", each)
        odd = ODD[each]
        assert got.status == odd.status, (how, each, got)
        if got.status == 200:
            assert got.is_whole == odd.is_whole, (how, each, got)
    caller.close()


@pytest.mark.row("U7", ci=2, soak=20)
async def test_an_upstream_that_cannot_be_reached_or_sends_elsewhere_gets_no_key_and_says_why(
    tmp_path: Path, database_url: str, row: Row, full_port: int
) -> None:
    tls = make_certificates(tmp_path, "localhost").server
    async with (
        ScriptedUpstream(answering(_sized(b"stolen"))) as elsewhere,
        ScriptedUpstream(_without_tls) as plain,
        ScriptedUpstream(answering(_sized(b"stolen")), tls=tls) as unknown,
        ScriptedUpstream(_redirecting(elsewhere.port)) as redirecting,
        ScriptedUpstream(_busy) as busy,
    ):
        upstreams = {
            "nodns": "http://nowhere.invalid",
            "refused": f"http://127.0.0.1:{free_port()}",
            "notls": f"https://127.0.0.1:{plain.port}",
            "unknown": f"https://localhost:{unknown.port}",
            "hanging": f"http://127.0.0.1:{full_port}",
            "redirecting": f"http://127.0.0.1:{redirecting.port}",
            "busy": f"http://127.0.0.1:{busy.port}",
        }
        wanted = {
            **dict.fromkeys(("nodns", "refused", "notls", "unknown"), ("upstream_failed", 502)),
            "hanging": ("upstream_timed_out", 504),
            "redirecting": ("completed", 307),
            "busy": ("completed", 429),
        }
        setting = ",".join(f"{name}={url}" for name, url in upstreams.items())
        async with world(tmp_path, database_url, upstreams=setting) as made:
            async with made.load(2):
                callers = [(name, Caller(made)) for name in upstreams for _ in range(row.times)]
                answers = await asyncio.gather(*[caller.ask(name) for name, caller in callers])
                for _, caller in callers:
                    caller.close()
            assert Counter(got.status for got in answers) == Counter(
                status for _, status in wanted.values() for _ in range(row.times)
            )
            verdict = await made.judge()
            found = Counter(tuple(each.values()) for each in await fetch(made.database_url, WHERE))
            assert found == {(name, *end): row.times for name, end in wanted.items()}
            row.tell(held=verdict)
        assert not elsewhere.connections
        assert not unknown.requests


def _redirecting(port: int) -> Script:
    return answering(
        b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:%d/v1/stolen\r\nContent-Length: 0\r\n\r\n" % port
    )


async def _busy(connection: Connection) -> None:
    await answering(_sized(b"{}", b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n"))(connection)


async def _without_tls(connection: Connection) -> None:
    await connection.read_some()
    await connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


class Caller:
    """A client that keeps its connection for as long as it lasts."""

    def __init__(self, made: World) -> None:
        self._made = made
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, name: str, how: str = "") -> Received:
        """One call under an upstream's name."""
        self._made.clients.numbers += 1
        got = Received(self._made.clients.numbers, CHUNKS)
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._made.product.port)
        reader, writer = self._streams
        target = f"/{name}/{got.number}/{got.chunks}/{how}"
        writer.write(f"GET {target} HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer {CANARY}\r\n\r\n".encode())
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._read(got, reader)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.close()
        return got

    def close(self) -> None:
        """Ends the connection; the next call makes another."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _read(self, got: Received, reader: asyncio.StreamReader) -> None:
        head = b"HTTP/1.1 1"
        while head.startswith(b"HTTP/1.1 1"):
            head = await reader.readuntil(b"\r\n\r\n")
        got.status = int(head[9:12])
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:-2])
        got.exchange_id = fields[b"x-verbatim-exchange-id"].decode()
        self._made.clients.received.append(got)
        if b"transfer-encoding" in fields:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                got.body += await reader.readexactly(size)
                await reader.readexactly(2)
            while await reader.readuntil(b"\r\n") != b"\r\n":
                continue
        elif got.status != 204:
            got.body = await reader.readexactly(int(fields[b"content-length"]))
        got.is_whole = True
        if fields.get(b"connection") == b"close":
            self.close()
