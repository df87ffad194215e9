"""The fast shell: what ASGI cannot carry, what must not be taken, and when connections end."""

import asyncio
import random
import socket
import struct

import pytest

from tests.fakes.upstream import ScriptedUpstream, answering
from tests.proxy.harness import running_proxy

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
GET = b"GET /v1/models HTTP/1.1\r\nHost: proxy\r\n\r\n"
LAST_GET = b"GET /v1/models HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_header_case_order_and_duplicates_pass_both_ways(tmp_path):
    fields = b"Set-Cookie: a\r\nX-ODD-case: 1\r\nset-cookie: b\r\nX-Empty: \r\nContent-Length: 0\r\n"
    answer = b"HTTP/1.1 200 Fine By Me\r\n" + fields + b"\r\n"
    request = (
        b"GET /v1/a%2Fb?x=%20&y HTTP/1.1\r\nX-Dup: 1\r\nHost: p\r\nx-dUP: 2\r\n"
        b"Connection: close\r\nX-Empty:\r\n\r\n"
    )
    async with (
        ScriptedUpstream(answering(answer)) as upstream,
        running_proxy(tmp_path, upstream.address()) as proxy,
    ):
        got = await proxy.ask(request)
        assert got.startswith(b"HTTP/1.1 200 Fine By Me\r\n" + fields)
        expected = b"GET /v1/a%2Fb?x=%20&y HTTP/1.1\r\nX-Dup: 1\r\nHost: " + upstream.address().authority
        assert upstream.requests[0].raw == expected + b"\r\nx-dUP: 2\r\nX-Empty: \r\n\r\n"


async def test_an_http_1_0_client_gets_a_body_that_ends_with_the_connection(tmp_path):
    async with ScriptedUpstream(answering(CHUNKED + b"3\r\nabc\r\n0\r\n\r\n")) as upstream:
        async with running_proxy(tmp_path, upstream.address()) as proxy:
            got = await proxy.ask(b"GET /v1/x HTTP/1.0\r\n\r\n")
            head, _, body = got.partition(b"\r\n\r\n")
            assert body == b"abc" and b"transfer-encoding" not in head.lower()


async def test_a_broken_answer_to_http_1_0_ends_by_reset(tmp_path):
    async def script(connection):
        await connection.read_request()
        await connection.send(CHUNKED + b"3\r\nabc\r\n")
        await asyncio.sleep(0.05)

    async with ScriptedUpstream(script) as upstream, running_proxy(tmp_path, upstream.address()) as proxy:
        with pytest.raises(ConnectionResetError):
            await proxy.ask(b"GET /v1/x HTTP/1.0\r\n\r\n")


async def test_trailers_and_informational_answers_pass(tmp_path):
    answer = (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        + CHUNKED
        + b"3\r\nabc\r\n0\r\nX-Checksum: 1\r\nX-Two: 2\r\n\r\n"
    )
    async with (
        ScriptedUpstream(answering(answer)) as upstream,
        running_proxy(tmp_path, upstream.address()) as proxy,
    ):
        got = await proxy.ask(LAST_GET)
        assert got.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n")
        assert got.endswith(b"3\r\nabc\r\n0\r\nX-Checksum: 1\r\nX-Two: 2\r\n\r\n")
        [recorded] = await proxy.ended()
        assert [name for name, _ in recorded.end.trailers] == [b"X-Checksum", b"X-Two"]


async def test_our_own_fields_never_go_on_in_trailers_either(tmp_path):
    request = (
        b"POST /v1/x HTTP/1.1\r\nHost: p\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"3\r\nabc\r\n0\r\nX-Verbatim-User: me\r\nX-Sum: 1\r\n\r\n"
    )
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        running_proxy(tmp_path, upstream.address()) as proxy,
    ):
        await proxy.ask(request)
        [seen] = upstream.requests
        assert (seen.body, seen.trailers) == (b"abc", [(b"X-Sum", b"1")])


async def test_100_continue_is_sent_once_the_upstream_is_there(tmp_path):
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        running_proxy(tmp_path, upstream.address()) as proxy,
    ):
        reader, writer = await proxy.connect()
        writer.write(b"POST /v1/x HTTP/1.1\r\nHost: p\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200 OK\r\n")
        assert upstream.requests[0].field(b"expect") is None and upstream.requests[0].body == b"abc"
        writer.close()


async def test_100_continue_is_not_sent_where_the_upstream_is_not_there(tmp_path):
    async with ScriptedUpstream(answering(OK)) as upstream:
        address = upstream.address()
    async with running_proxy(tmp_path, address) as proxy:
        got = await proxy.ask(
            b"POST /v1/x HTTP/1.1\r\nHost: p\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        assert got.startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize("line", [b"GET  /v1/x HTTP/1.1", b"GET /v1/x  HTTP/1.1"])
async def test_a_request_line_with_spare_spaces_goes_on_as_one_plain_request(tmp_path, line):
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        running_proxy(tmp_path, upstream.address()) as proxy,
    ):
        got = await proxy.ask(line + b"\r\nHost: p\r\nConnection: close\r\n\r\n")
        assert got.startswith(b"HTTP/1.1 200 OK\r\n")
        assert [each.raw.split(b"\r\n")[0] for each in upstream.requests] == [b"GET /v1/x HTTP/1.1"]


async def test_a_request_cut_at_any_byte_is_one_request(tmp_path):
    request = b"POST /v1/x HTTP/1.1\r\nHost: p\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        running_proxy(tmp_path, upstream.address()) as proxy,
    ):
        reader, writer = await proxy.connect()
        for cut in range(1, len(request)):
            writer.write(request[:cut])
            await asyncio.sleep(0.001)
            writer.write(request[cut:])
            assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200 OK")
        assert {each.body for each in upstream.requests} == {b"abc"}
        assert len(await proxy.ended(len(request) - 1)) == len(request) - 1
        writer.close()


async def test_a_head_without_end_is_cut_off_at_its_limit(tmp_path):
    async with running_proxy(tmp_path) as proxy:
        _reader, writer = await proxy.connect()
        writer.write(b"GET /v1/x HTTP/1.1\r\nX: ")
        sent = 0
        try:
            while sent < 64 << 20:
                writer.write(b"a" * 65536)
                sent += 65536
                await writer.drain()
        except ConnectionError:
            pass
        assert sent < 8 << 20
        writer.close()


async def test_a_slow_head_and_a_stalled_body_are_ended_at_their_deadline(tmp_path):
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        running_proxy(
            tmp_path, upstream.address(), head_seconds=0.2, body_idle_seconds=0.2, keepalive_seconds=0.2
        ) as proxy,
    ):
        got = await proxy.ask(b"GET /v1/x HTTP/1.1\r\nHo")
        assert got.startswith(b"HTTP/1.1 408 ")
        got = await proxy.ask(b"POST /v1/x HTTP/1.1\r\nHost: p\r\nContent-Length: 9\r\n\r\nabc")
        assert got.startswith(b"HTTP/1.1 408 ")
        [recorded] = await proxy.ended()
        assert (recorded.outcome, recorded.end.reason, recorded.request) == (
            "refused",
            "body_timeout",
            b"abc",
        )
        assert await proxy.ask(b"") == b""


async def test_requests_to_the_application_and_to_an_upstream_share_a_connection(tmp_path):
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        running_proxy(tmp_path, upstream.address()) as proxy,
    ):
        health = b"GET /healthz HTTP/1.1\r\nHost: p\r\n\r\n"
        got = await proxy.ask(health + GET + health + health + GET + LAST_GET)
        assert got.count(b"HTTP/1.1 200 OK") == 6
        assert got.count(b'{"status":"ok"}') == 3 and got.count(b"{}") == 3
        assert len(await proxy.ended(3)) == 3


async def test_an_early_answer_reaches_a_client_that_still_sends(tmp_path):
    async def script(connection):
        await connection.read_head()
        await connection.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!")
        await connection.read_to_end()

    async with ScriptedUpstream(script) as upstream, running_proxy(tmp_path, upstream.address()) as proxy:
        reader, writer = await proxy.connect()
        writer.write(
            b"POST /v1/files HTTP/1.1\r\nHost: p\r\nContent-Length: 1000000\r\n\r\n" + bytes(200_000)
        )
        got = await reader.read()
        assert got.startswith(b"HTTP/1.1 413 ") and got.endswith(b"no!")
        assert b"connection: close" in got
        [recorded] = await proxy.ended()
        assert recorded.outcome == "completed" and not recorded.end.request_complete
        writer.close()


async def test_two_hundred_clients_that_leave_at_any_point_harm_nobody(tmp_path):
    chance = random.Random(7)

    async def script(connection):
        while await connection.read_request() is not None:
            await connection.send(CHUNKED)
            for _ in range(5):
                await asyncio.sleep(0.002)
                await connection.send(b"3\r\nabc\r\n")
            await connection.send(b"0\r\n\r\n")

    async with ScriptedUpstream(script) as upstream, running_proxy(tmp_path, upstream.address()) as proxy:

        async def leave() -> None:
            _, writer = await proxy.connect()
            writer.write(GET[: chance.choice((10, len(GET), len(GET), len(GET)))])
            await asyncio.sleep(chance.random() * 0.02)
            writer.transport.abort()

        await asyncio.gather(*[leave() for _ in range(200)])
        answers = [await asyncio.gather(*[proxy.ask(LAST_GET) for _ in range(20)]) for _ in range(25)]
        assert all(answer.endswith(b"0\r\n\r\n") for batch in answers for answer in batch)
        recorded = [each for each in await proxy.ended(500) if each.end]
        assert {each.outcome for each in recorded} <= {"completed", "client_left"}
        assert not proxy.context.flows


async def test_the_drain_lets_a_stream_end_and_cuts_what_takes_too_long(tmp_path):
    may_end = asyncio.Event()

    async def script(connection):
        request = await connection.read_request()
        await connection.send(CHUNKED + b"3\r\nabc\r\n")
        if request.target == b"/v1/long":
            await connection.read_to_end()
        await may_end.wait()
        await connection.send(b"3\r\ndef\r\n0\r\n\r\n")

    async with (
        ScriptedUpstream(script) as upstream,
        running_proxy(tmp_path, upstream.address(), drain_seconds=1.0) as proxy,
    ):
        clients = []
        for path in (b"models", b"long"):
            reader, writer = await proxy.connect()
            writer.write(GET.replace(b"models", path))
            await reader.readuntil(b"abc")
            clients.append((reader, writer))
        proxy.server.begin_drain()
        await asyncio.sleep(0.3)
        with pytest.raises(ConnectionRefusedError):
            await proxy.connect()
        may_end.set()
        assert (await clients[0][0].read()).endswith(b"def\r\n0\r\n\r\n")
        with pytest.raises(ConnectionError):
            if not (await clients[1][0].read()).endswith(b"0\r\n\r\n"):
                raise ConnectionError("cut")
        recorded = await proxy.ended(2)
        assert {each.outcome for each in recorded} == {"completed", "proxy_stopped"}
        for _, writer in clients:
            writer.close()


async def test_the_drain_waits_for_answers_that_are_read_for_the_record(tmp_path):
    may_end = asyncio.Event()

    async def script(connection):
        await connection.read_request()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{")
        await may_end.wait()
        await connection.send(b"}")
        await connection.read_to_end()

    async with (
        ScriptedUpstream(script) as upstream,
        running_proxy(tmp_path, upstream.address(), drain_on_abort=True) as proxy,
    ):
        reader, writer = await proxy.connect()
        writer.write(GET)
        await reader.readuntil(b"{")
        writer.transport.abort()
        await asyncio.sleep(0.1)
        proxy.server.begin_drain()
        await asyncio.sleep(0.4)
        may_end.set()
        [recorded] = await proxy.ended()
        assert (recorded.outcome, recorded.response) == ("client_left", b"{}")


async def test_a_client_that_leaves_while_its_upload_is_held_back_is_noticed(tmp_path):
    async def script(connection):
        await connection.read_head()
        await connection.stall()

    async with ScriptedUpstream(script) as upstream, running_proxy(tmp_path, upstream.address()) as proxy:
        _reader, writer = await proxy.connect()
        writer.write(b"POST /v1/files HTTP/1.1\r\nHost: p\r\nContent-Length: %d\r\n\r\n" % (64 << 20))
        for _ in range(400):
            writer.write(bytes(65536))
            await asyncio.sleep(0)
        await asyncio.sleep(0.3)
        # By RST: a FIN would wait behind bytes that nobody reads, and TCP would not tell it.
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        while proxy.context.flows:
            await asyncio.sleep(0.05)
        [recorded] = await proxy.ended()
        assert recorded.outcome == "client_left"


async def test_more_exchanges_than_allowed_get_503(tmp_path):
    async def script(connection):
        await connection.read_request()
        await connection.read_to_end()

    async with (
        ScriptedUpstream(script) as upstream,
        running_proxy(tmp_path, upstream.address(), max_inflight=1) as proxy,
    ):
        _reader, writer = await proxy.connect()
        writer.write(GET)
        while not upstream.requests:
            await asyncio.sleep(0.01)
        got = await proxy.ask(LAST_GET)
        assert got.startswith(b"HTTP/1.1 503 ") and b"max_inflight" in got
        writer.close()
