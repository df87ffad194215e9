"""One exchange through a real listener, real sockets and a real journal: what both shells promise."""

import asyncio
import json
import threading
from typing import cast

import pytest

from app.journal.disk import RealDisk
from tests.fakes.upstream import ScriptedUpstream, answering
from tests.proxy.harness import running_proxy

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
GET = b"GET /v1/models HTTP/1.1\r\nHost: proxy\r\n\r\n"
LAST_GET = b"GET /v1/models HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n"
POST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: proxy\r\nContent-Length: 4\r\nConnection: close\r\n\r\nabcd"
)
SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(params=["fast", "plain"])
def shell(request):
    return request.param


def parts(answer: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    return first, fields, body


async def test_a_whole_exchange_passes_and_is_journalled_frame_by_frame(tmp_path, shell):
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        running_proxy(tmp_path, upstream.address(), shell=shell) as proxy,
    ):
        first, fields, body = parts(await proxy.ask(POST))
        assert first == b"HTTP/1.1 200 OK"
        assert body == b"{}"
        assert fields[b"content-type"] == b"application/json" and fields[b"content-length"] == b"2"
        [recorded] = await proxy.ended()
        assert recorded.kinds == ["BEGIN", "REQUEST_CHUNK", "RESPONSE_HEAD", "RESPONSE_CHUNK", "END"]
        assert (recorded.request, recorded.response, recorded.outcome) == (b"abcd", b"{}", "completed")
        assert recorded.begin.method == "POST" and recorded.begin.target == b"/v1/chat/completions"
        assert recorded.head.status == 200
        assert (
            recorded.end.request_bytes == 4
            and recorded.end.response_bytes == 2
            and recorded.end.request_complete
        )
        assert len(fields[b"x-verbatim-exchange-id"]) == 36
        [request] = upstream.requests
        assert request.raw.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n") and request.body == b"abcd"
        assert request.field(b"host") == upstream.address().authority


async def test_the_first_event_reaches_the_client_before_the_second_is_sent(tmp_path, shell):
    may_go_on = asyncio.Event()

    async def script(connection):
        await connection.read_request()
        await connection.send(SSE + b"9\r\ndata: 1\n\n\r\n")
        await may_go_on.wait()
        await connection.send(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    async with (
        ScriptedUpstream(script) as upstream,
        running_proxy(tmp_path, upstream.address(), shell=shell) as proxy,
    ):
        reader, writer = await proxy.connect()
        writer.write(POST)
        seen = await reader.readuntil(b"data: 1\n\n")
        # What the client has is in the journal already.
        assert proxy.recorded()[0].response == b"data: 1\n\n"
        may_go_on.set()
        rest = await reader.read()
        assert b"data: 1" in seen and b"data: 2" in rest and rest.endswith(b"0\r\n\r\n")
        [recorded] = await proxy.ended()
        assert recorded.response == b"data: 1\n\ndata: 2\n\n" and recorded.outcome == "completed"
        writer.close()


async def test_an_upload_streams_piece_by_piece(tmp_path, shell):
    seen = asyncio.Event()

    async def script(connection):
        await connection.read_head()
        assert b"abc" in await connection.read_some()
        seen.set()
        while not (await connection.read_some()).endswith(b"0\r\n\r\n"):
            pass
        await connection.send(OK)

    async with (
        ScriptedUpstream(script) as upstream,
        running_proxy(tmp_path, upstream.address(), shell=shell) as proxy,
    ):
        reader, writer = await proxy.connect()
        writer.write(
            b"POST /v1/files HTTP/1.1\r\nHost: p\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        )
        writer.write(b"3\r\nabc\r\n")
        await asyncio.wait_for(seen.wait(), 10)
        writer.write(b"3\r\ndef\r\n0\r\n\r\n")
        assert (await reader.read()).endswith(b"{}")
        [recorded] = await proxy.ended()
        assert recorded.request == b"abcdef" and recorded.end.request_complete
        writer.close()


async def test_connections_are_kept_and_pipelined_requests_answered_in_order(tmp_path, shell):
    async def script(connection):
        while (request := await connection.read_request()) is not None:
            body = request.target
            await asyncio.sleep(0.02 if body.endswith(b"1") else 0)
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async with (
        ScriptedUpstream(script) as upstream,
        running_proxy(tmp_path, upstream.address(), shell=shell) as proxy,
    ):
        requests = b"".join(b"GET /v1/%d HTTP/1.1\r\nHost: p\r\n\r\n" % number for number in (1, 2, 3))
        answer = await proxy.ask(requests + b"GET /v1/4 HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n")
        assert [answer.index(b"/v1/%d" % number) for number in (1, 2, 3, 4)] == sorted(
            answer.index(b"/v1/%d" % number) for number in (1, 2, 3, 4)
        )
        assert [request.target for request in upstream.requests] == [b"/v1/1", b"/v1/2", b"/v1/3", b"/v1/4"]
        assert len(await proxy.ended(4)) == 4


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"),
        (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ],
)
async def test_answers_without_a_body_end_at_their_head(tmp_path, shell, method, answer):
    async with (
        ScriptedUpstream(answering(answer)) as upstream,
        running_proxy(tmp_path, upstream.address(), shell=shell) as proxy,
    ):
        got = await proxy.ask(LAST_GET.replace(b"GET", method))
        assert got.split(b" ")[1] == answer.split(b" ")[1]
        assert got.endswith(b"\r\n\r\n") and got.count(b"\r\n\r\n") == 1
        [recorded] = await proxy.ended()
        assert recorded.outcome == "completed" and recorded.response == b""


async def test_a_body_that_ends_with_the_connection_is_passed_whole(tmp_path, shell):
    async def script(connection):
        await connection.read_request()
        await connection.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await connection.send(b"def")

    async with (
        ScriptedUpstream(script) as upstream,
        running_proxy(tmp_path, upstream.address(), shell=shell) as proxy,
    ):
        _, fields, body = parts(await proxy.ask(LAST_GET))
        assert fields[b"transfer-encoding"] == b"chunked" and body.endswith(b"0\r\n\r\n")
        [recorded] = await proxy.ended()
        assert (recorded.response, recorded.outcome) == (b"abcdef", "completed")


async def test_an_upstream_that_refuses_gives_502_in_the_envelope_on_record(tmp_path, shell):
    async with ScriptedUpstream(answering(OK)) as upstream:
        address = upstream.address()
    async with running_proxy(tmp_path, address, shell=shell) as proxy:
        first, _, body = parts(await proxy.ask(POST))
        assert b" 502" in first
        error = json.loads(body)["error"]
        assert error["type"] == "verbatim_error" and error["code"] == "upstream_refused"
        assert str(address.port) in error["message"]
        [recorded] = await proxy.ended()
        assert (recorded.outcome, recorded.end.reason) == ("upstream_failed", "refused")
        assert recorded.response == body


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Le"])
async def test_a_reset_before_the_head_gives_502(tmp_path, shell, sent):
    async def script(connection):
        await connection.read_request()
        await connection.send(sent)
        await asyncio.sleep(0.02)
        connection.reset()

    async with (
        ScriptedUpstream(script) as upstream,
        running_proxy(tmp_path, upstream.address(), shell=shell) as proxy,
    ):
        first, _, body = parts(await proxy.ask(POST))
        assert b" 502" in first and json.loads(body)["error"]["code"] == "upstream_reset"
        [recorded] = await proxy.ended()
        assert recorded.outcome == "upstream_failed"


@pytest.mark.parametrize(
    "answer", [SSE + b"3\r\nabc\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"]
)
@pytest.mark.parametrize("how", ["reset", "close"])
async def test_an_answer_that_breaks_off_never_ends_cleanly(tmp_path, shell, answer, how):
    async def script(connection):
        await connection.read_request()
        await connection.send(answer)
        await asyncio.sleep(0.02)
        getattr(connection, how)()

    async with (
        ScriptedUpstream(script) as upstream,
        running_proxy(tmp_path, upstream.address(), shell=shell) as proxy,
    ):
        got = await proxy.ask(POST)
        assert b"abc" in got and not got.endswith(b"0\r\n\r\n")
        [recorded] = await proxy.ended()
        assert (recorded.outcome, recorded.response) == ("upstream_failed", b"abc")


async def test_garbage_from_the_upstream_gives_502(tmp_path, shell):
    async with (
        ScriptedUpstream(answering(b"SMTP ready\r\n\r\n")) as upstream,
        running_proxy(tmp_path, upstream.address(), shell=shell) as proxy,
    ):
        first, _, body = parts(await proxy.ask(POST))
        assert b" 502" in first and json.loads(body)["error"]["code"] == "upstream_malformed"


async def test_a_client_that_leaves_ends_the_upstream_call_within_a_second(tmp_path, shell):
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def script(connection):
        await connection.read_request()
        await connection.send(SSE + b"3\r\nabc\r\n")
        ended.set_result(await connection.read_to_end())

    async with (
        ScriptedUpstream(script) as upstream,
        running_proxy(tmp_path, upstream.address(), shell=shell) as proxy,
    ):
        reader, writer = await proxy.connect()
        writer.write(POST.replace(b"Connection: close\r\n", b""))
        await reader.readuntil(b"abc")
        writer.close()
        await asyncio.wait_for(ended, 10)
        [recorded] = await proxy.ended()
        assert (recorded.outcome, recorded.response) == ("client_left", b"abc")
        assert not proxy.context.flows


async def test_a_client_that_leaves_with_the_whole_body_an_instant_before_its_end_has_it_all(tmp_path):
    async def script(connection):
        await connection.read_request()
        await connection.send(SSE + b"e\r\ndata: [DONE]\n\n\r\n")
        await asyncio.sleep(0.05)
        await connection.send(b"0\r\n\r\n")

    async with ScriptedUpstream(script) as upstream, running_proxy(tmp_path, upstream.address()) as proxy:
        reader, writer = await proxy.connect()
        writer.write(GET)
        await reader.readuntil(b"[DONE]\n\n")
        writer.close()
        [recorded] = await proxy.ended()
        assert (recorded.outcome, recorded.response) == ("completed", b"data: [DONE]\n\n")


@pytest.mark.parametrize("rest", [b"3\r\nabc\r\n0\r\n\r\n", b""])
async def test_a_client_that_leaves_before_the_last_bytes_of_the_body_has_left(tmp_path, rest):
    async def script(connection):
        await connection.read_request()
        await connection.send(SSE + b"6\r\ndata: \r\n")
        await asyncio.sleep(0.05)
        await connection.send(rest)
        await connection.read_to_end()

    async with ScriptedUpstream(script) as upstream, running_proxy(tmp_path, upstream.address()) as proxy:
        reader, writer = await proxy.connect()
        writer.write(GET)
        await reader.readuntil(b"data: ")
        writer.close()
        [recorded] = await proxy.ended()
        assert (recorded.outcome, recorded.response) == ("client_left", b"data: ")
        async with asyncio.timeout(5):
            await upstream.connections[0].closed.wait()
        assert not proxy.context.flows


async def test_with_drain_on_abort_the_answer_is_read_to_its_end(tmp_path, shell):
    left = asyncio.Event()

    async def script(connection):
        await connection.read_request()
        await connection.send(SSE + b"3\r\nabc\r\n")
        await left.wait()
        await connection.send(b"3\r\ndef\r\n0\r\n\r\n")

    async with (
        ScriptedUpstream(script) as upstream,
        running_proxy(tmp_path, upstream.address(), shell=shell, drain_on_abort=True) as proxy,
    ):
        reader, writer = await proxy.connect()
        writer.write(POST.replace(b"Connection: close\r\n", b""))
        await reader.readuntil(b"abc")
        writer.close()
        await asyncio.sleep(0.05)
        left.set()
        [recorded] = await proxy.ended()
        assert (recorded.outcome, recorded.response) == ("client_left", b"abcdef")


async def test_off_is_counted_only_and_metadata_is_marked(tmp_path, shell):
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        running_proxy(tmp_path, upstream.address(), shell=shell) as proxy,
    ):
        for mode in (b"off", b"metadata", b"full"):
            await proxy.ask(LAST_GET.replace(b"\r\n\r\n", b"\r\nx-verbatim-log: " + mode + b"\r\n\r\n"))
        recorded = await proxy.ended(2)
        assert [each.begin.mode for each in recorded] == ["metadata", "full"]
        assert [each.begin.accept_number for each in recorded] == [1, 2]
        assert all(request.field(b"x-verbatim-log") is None for request in upstream.requests)


async def test_labels_are_recorded_and_bad_ones_refused(tmp_path, shell):
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        running_proxy(tmp_path, upstream.address(), shell=shell) as proxy,
    ):
        labels = (
            b"\r\nx-verbatim-user: ann\r\nX-Verbatim-Tag-env: prod\r\nx-verbatim-conversation: c1\r\n\r\n"
        )
        await proxy.ask(LAST_GET.replace(b"\r\n\r\n", labels))
        [recorded] = await proxy.ended()
        assert (recorded.begin.user, recorded.begin.conversation) == ("ann", "c1")
        assert recorded.begin.tags == {"env": "prod"}
        first, _, body = parts(
            await proxy.ask(LAST_GET.replace(b"\r\n\r\n", b"\r\nx-verbatim-log: some\r\n\r\n"))
        )
        assert b" 400" in first and json.loads(body)["error"]["param"] == "x-verbatim-log"
        assert len(upstream.requests) == 1


async def test_a_body_over_the_limit_is_refused_before_the_upstream_is_called(tmp_path, shell):
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        running_proxy(tmp_path, upstream.address(), shell=shell, max_body_bytes=3) as proxy,
    ):
        first, _, body = parts(await proxy.ask(POST))
        assert b" 413" in first and json.loads(body)["error"]["code"] == "body_too_large"
        [recorded] = await proxy.ended()
        assert (recorded.outcome, recorded.end.reason) == ("refused", "body_too_large")
        assert upstream.requests == []


async def test_secret_bodies_pass_but_stay_off_the_disk(tmp_path, shell):
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{"value":"canary"}'
    async with (
        ScriptedUpstream(answering(answer)) as upstream,
        running_proxy(tmp_path, upstream.address(), shell=shell) as proxy,
    ):
        got = await proxy.ask(POST.replace(b"chat/completions", b"realtime/client_secrets"))
        assert got.endswith(b'{"value":"canary"}')
        [recorded] = await proxy.ended()
        assert recorded.kinds == ["BEGIN", "RESPONSE_HEAD", "END"] and recorded.end.response_bytes == 18
        assert not recorded.begin.bodies_kept


_PLACES = (
    b"Authorization: Bearer ",
    b"api-key: ",
    b"X-Other: ",
    b"Cookie: a=",
    b"User-Agent: ",
    b"X-Verbatim-User: ",
)


async def test_no_credential_of_a_call_is_in_the_journal(tmp_path, shell):
    canary = b"sk-canary-abcdefghijklmnop"
    answer = (
        b"HTTP/1.1 401 Bad " + canary + b"\r\nSet-Cookie: " + canary + b"\r\nX-Echo: " + canary + b"\r\n"
        b"Location: /x?k=" + canary + b"\r\nContent-Length: 0\r\n\r\n"
    )
    fields = b"".join(
        name + canary + b"\r\n"
        for name in (
            b"Authorization: Bearer ",
            b"api-key: ",
            b"X-Other: ",
            b"Cookie: a=",
            b"User-Agent: ",
            b"X-Verbatim-User: ",
        )
    )
    request = b"GET /v1/models?api_key=" + canary + b"&x=" + canary + b" HTTP/1.1\r\nHost: p\r\n" + fields
    async with (
        ScriptedUpstream(answering(answer)) as upstream,
        running_proxy(tmp_path, upstream.address(), shell=shell) as proxy,
    ):
        await proxy.ask(request + b"Connection: close\r\n\r\n")
        [recorded] = await proxy.ended()
        assert recorded.begin.key and recorded.begin.key_tail == "mnop"
        assert upstream.requests[0].raw.count(canary) == 7
        for file in proxy.journal_dir.rglob("*"):
            assert not file.is_file() or canary not in file.read_bytes()


async def test_a_full_journal_refuses_or_lets_pass_as_set(tmp_path, shell):
    async with ScriptedUpstream(answering(OK)) as upstream:
        full = {"max_bytes": 1}
        async with running_proxy(
            tmp_path / "closed",
            upstream.address(),
            shell=shell,
            journal=full,
            fail_closed=True,
        ) as proxy:
            await _until_full(proxy)
            first, fields, body = parts(await proxy.ask(POST))
            assert b" 503" in first and json.loads(body)["error"]["code"] == "journal_full"
            assert fields[b"retry-after"] and upstream.requests == []
        async with running_proxy(tmp_path / "open", upstream.address(), shell=shell, journal=full) as proxy:
            await _until_full(proxy)
            assert b" 200" in (await proxy.ask(POST)).split(b"\r\n")[0]
            assert len(upstream.requests) == 1


async def _until_full(proxy):
    for _ in range(500):
        if not proxy.context.journal.admits():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError("the journal did not notice that it is full")


async def test_with_fsync_always_bytes_leave_after_the_disk_has_them(tmp_path, shell):
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        running_proxy(tmp_path, upstream.address(), shell=shell, journal={"fsync": "always"}) as proxy,
    ):
        for _ in range(20):
            assert (await proxy.ask(POST)).endswith(b"{}")
        assert len(await proxy.ended(20)) == 20


class StalledDisk(RealDisk):
    """Syncs of a file return when they are allowed to."""

    def __init__(self) -> None:
        self.may_sync = threading.Event()
        self.may_sync.set()

    def sync(self, fd: int) -> None:
        self.may_sync.wait(20)
        super().sync(fd)


async def test_with_fsync_always_a_disk_that_stalls_stops_the_upstream_and_gathers_little(tmp_path, shell):
    size_bytes, sent = 64 << 20, 0

    async def script(connection):
        nonlocal sent
        await connection.read_request()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size_bytes)
        for _ in range(size_bytes >> 16):
            await connection.send(bytes(64 << 10))
            sent += 64 << 10

    disk = StalledDisk()
    async with (
        ScriptedUpstream(script) as upstream,
        running_proxy(
            tmp_path, upstream.address(), shell=shell, journal={"fsync": "always"}, disk=disk
        ) as proxy,
    ):
        disk.may_sync.clear()
        reader, writer = await proxy.connect()
        writer.write(LAST_GET)
        await asyncio.sleep(0.5)
        assert sent < size_bytes // 2
        assert proxy.context.journal.position < size_bytes // 2
        disk.may_sync.set()
        assert len(await reader.read()) > size_bytes
        [recorded] = await proxy.ended()
        assert recorded.outcome == "completed" and recorded.end.response_bytes == size_bytes
        writer.close()


async def test_a_slow_client_slows_its_own_upstream(tmp_path, shell):
    sent = 0

    async def script(connection):
        nonlocal sent
        await connection.read_request()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 << 20))
        for _ in range(1024):
            await connection.send(bytes(64 << 10))
            sent += 64 << 10

    async with (
        ScriptedUpstream(script) as upstream,
        running_proxy(tmp_path, upstream.address(), shell=shell) as proxy,
    ):
        reader, writer = await proxy.connect()
        transport = cast(asyncio.Transport, writer.transport)
        transport.pause_reading()
        writer.write(LAST_GET)
        await asyncio.sleep(0.5)
        # Kernel buffers of two connections and 64 KiB in each process's hands; far from all of it.
        assert sent < 32 << 20
        transport.resume_reading()
        assert len(await reader.read()) > 64 << 20
        [recorded] = await proxy.ended()
        assert recorded.outcome == "completed" and recorded.end.response_bytes == 64 << 20
        writer.close()


async def test_what_is_under_no_upstream_is_answered_by_the_application(tmp_path, shell):
    async with running_proxy(tmp_path, shell=shell) as proxy:
        for path, status in (
            (b"/healthz", b"200"),
            (b"/readyz", b"200"),
            (b"/metrics", b"200"),
            (b"/nope", b"404"),
        ):
            answer = await proxy.ask(b"GET " + path + b" HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n")
            assert answer.split(b" ")[1] == status
        assert json.loads(parts(answer)[2])["error"]["type"] == "verbatim_error"


@pytest.mark.parametrize(
    ("shell", "protocol"), [("fast", b"h2c"), ("plain", b"h2c"), ("plain", b"websocket")]
)
async def test_an_upgrade_that_cannot_be_is_refused_in_the_envelope(tmp_path, shell, protocol):
    request = (
        b"GET /v1/realtime HTTP/1.1\r\nHost: p\r\nConnection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n"
    )
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        running_proxy(tmp_path, upstream.address(), shell=shell) as proxy,
    ):
        reader, writer = await proxy.connect()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.split(b" ")[1] == b"501"
        assert upstream.requests == []
        [recorded] = await proxy.ended()
        assert (recorded.outcome, recorded.end.reason) == ("refused", "upgrade_unsupported")
        writer.close()
