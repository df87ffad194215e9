"""A fault of our own, wherever it strikes, ends one exchange and hangs nobody."""

import asyncio
from pathlib import Path

import pytest

from app.proxy.flow import ExchangeFlow
from app.proxy.payloads import BeginTemplate
from app.proxy.tee import Tee
from app.proxy.wire_client import WireClient
from app.telemetry.metrics import Slot
from tests.fakes.handler import eventually
from tests.fakes.upstream import ScriptedUpstream, answering
from tests.proxy.harness import running_proxy

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx: y\r\n\r\n"
GOOD = b"POST /v1/good HTTP/1.1\r\nHost: proxy\r\nContent-Length: 4\r\nConnection: close\r\n\r\nabcd"
BAD = GOOD.replace(b"good", b"bad-")

FAULTS = [
    (Tee, "begin"),
    (Tee, "request_chunk"),
    (Tee, "answer_head"),
    (Tee, "response_chunk"),
    (Tee, "end"),
    (BeginTemplate, "payload"),
    (WireClient, "send_head"),
    (WireClient, "send_data"),
    (WireClient, "finish"),
    (ExchangeFlow, "request_data"),
    (ExchangeFlow, "request_end"),
    (ExchangeFlow, "flush"),
    (ExchangeFlow, "on_sent"),
    (ExchangeFlow, "on_head"),
    (ExchangeFlow, "on_data"),
    (ExchangeFlow, "on_complete"),
    (ExchangeFlow, "on_flush"),
    (ExchangeFlow, "send"),
    (ExchangeFlow, "deliver"),
    (ExchangeFlow, "_answer_client"),
    (ExchangeFlow, "_end"),
]


@pytest.fixture(params=["fast", "plain"])
def shell(request):
    return request.param


@pytest.mark.parametrize("lasts", [False, True], ids=["once", "always"])
@pytest.mark.parametrize(("owner", "name"), FAULTS, ids=lambda each: getattr(each, "__name__", each))
async def test_a_fault_ends_its_exchange_and_no_other(tmp_path: Path, shell, owner, name, lasts, monkeypatch):
    real = getattr(owner, name)
    armed = False
    raised = 0

    def faulty(self, *args, **kwargs):
        nonlocal raised
        if armed and (lasts or not raised):
            raised += 1
            raise RuntimeError("a fault")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(owner, name, faulty)
    async with (
        ScriptedUpstream(answering(CHUNKED)) as upstream,
        running_proxy(tmp_path, upstream.address(), shell=shell) as proxy,
    ):
        armed = True
        async with asyncio.timeout(5):
            got = await proxy.ask(BAD)
        armed = False
        if owner is not WireClient or shell == "fast":
            assert raised
            assert not got.endswith(b"0\r\n\r\n")
        async with asyncio.timeout(5):
            assert (await proxy.ask(GOOD)).endswith(b"\r\n\r\n")
        metrics = proxy.context.metrics
        await eventually(lambda: not proxy.context.flows)
        assert metrics.get(Slot.EXCHANGES_IN_FLIGHT) == 0
        for recorded in proxy.recorded():
            assert recorded.kinds.count("END") <= 1
            assert "END" not in recorded.kinds[:-1]
