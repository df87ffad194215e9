"""Who may ask the console, and what every answer carries."""

import asyncio
import itertools

import httpx

from app.api.schemas.errors import ErrorAnswer
from tests.api.conftest import TOKEN, running_console

PATHS = [
    "/api/exchanges",
    "/api/exchanges/00000000-0000-0000-0000-000000000007/request",
    "/api/status",
    "/nothing",
]


CREDENTIALS = [None, "", TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", "Bearer tést"]


async def test_nothing_is_told_without_the_token(console):
    async with httpx.AsyncClient(base_url=console.url) as client:
        for path in PATHS:
            for credential in CREDENTIALS:
                headers = [] if credential is None else [(b"Authorization", credential.encode())]
                answer = await client.get(path, headers=headers)
                assert answer.status_code == 401, (path, credential)
                assert answer.headers["www-authenticate"].startswith("Bearer")
                ErrorAnswer.model_validate(answer.json(), extra="forbid")


async def test_two_credentials_are_none(console):
    async with httpx.AsyncClient(base_url=console.url) as client:
        answer = await client.get("/api/status", headers=[("Authorization", f"Bearer {TOKEN}")] * 2)
    assert answer.status_code == 401


async def test_the_scheme_of_the_token_may_be_written_in_any_case(console):
    assert (await console.get("/api/status", headers={"Authorization": f"bearer {TOKEN}"})).status_code == 200


async def test_a_host_that_is_not_listed_is_refused_even_with_the_token(console):
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost", "", "[::1"):
        answer = await console.get("/api/status", headers={"Host": host})
        assert answer.status_code == 403, host
        assert answer.json()["error"]["code"] == "host_not_allowed"


async def test_listed_hosts_and_a_star_are_answered(database_url):
    async with running_console(database_url, frozenset({"logs.example", "::1"})) as console:
        for host, status in (("Logs.Example:8081", 200), ("[::1]:8081", 200), ("other.example", 403)):
            assert (await console.get("/api/status", headers={"Host": host})).status_code == status
    async with running_console(database_url, frozenset({"*"})) as console:
        assert (await console.get("/api/status", headers={"Host": "any.example"})).status_code == 200


async def test_probes_need_neither_token_nor_host(console):
    async with httpx.AsyncClient(base_url=console.url) as client:
        for path in ("/healthz", "/metrics"):
            assert (await client.get(path, headers={"Host": "10.1.2.3"})).status_code == 200


async def test_the_reference_needs_no_token_and_loads_nothing(console):
    async with httpx.AsyncClient(base_url=console.url) as client:
        for path in ("/docs", "/openapi.json"):
            answer = await client.get(path)
            assert answer.status_code == 200
            assert "<script" not in answer.text
            assert "/api/exchanges/{exchange_id}/chunks" in answer.text
            assert (await client.get(path, headers={"Host": "evil.example"})).status_code == 403


async def test_every_answer_carries_the_security_headers(console):
    paths = ("/api/exchanges", "/nothing", "/healthz", "/docs", "/api/exchanges?limit=x")
    for path, headers in itertools.product(paths, ({}, {"Authorization": "none"})):
        answer = await console.get(path, headers=headers)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


async def test_errors_of_the_framework_have_the_envelope_too(console):
    missing = await console.get("/api/nothing")
    assert missing.status_code == 404
    ErrorAnswer.model_validate(missing.json(), extra="forbid")
    wrong = await console.client.post("/api/exchanges")
    assert wrong.status_code == 405
    assert wrong.json()["error"]["code"] == "method_not_allowed"
    assert wrong.headers["allow"] == "GET"


async def test_a_websocket_is_refused(console):
    host, port = console.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"GET /api/status HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    assert b" 401 " in await reader.readline()
    writer.close()
    await writer.wait_closed()
