"""A token of one project: every route that the console has is asked for what another project holds."""

from __future__ import annotations

import asyncio
import re
import uuid

import httpx
import pytest

from app.api.guard import TOKENLESS_PATHS, Grant, RevokedError, Sender
from app.store.tokens import KNOWN_SECONDS
from tests.api.conftest import TOKEN
from tests.cli.asked import verbatim
from tests.security.two_projects import CANARY, nobody, two_projects

PLACE = re.compile(r"{(\w+)}")
METHODS = ("get", "post", "put", "patch", "delete")
WHOLE_RECORD = {"/api/status", "/api/storage", "/api/tokens"}
"""Reading routes that tell of more than one project; erasures and their receipts join them."""
LISTS = {
    "/api/exchanges": [
        "",
        "?project=theirs",
        f"?q={CANARY}",
        f"?user=user-{CANARY}&count=true",
        "?sort=total_tokens",
        f"?tag.team={CANARY}",
        f"?response.id=chatcmpl-{CANARY}-1",
        f"?upstream_id=chatcmpl-{CANARY}-1",
        "?sort=total_tokens&after=THEIRS",
        "?key=" + "c0" * 8,
        "?conversation=CONVERSATION",
    ],
    "/api/conversations": ["", "?project=theirs", f"?q={CANARY}", f"?user=user-{CANARY}"],
    "/api/stats": [
        f"?group_by={names}"
        for names in ("model", "user", "project", "key", "hour,model", "day,user", "tag.team")
    ]
    + [f"?group_by=project,model&q={CANARY}", "?group_by=user&min_duration_ms=1"],
    "/api/export": [f"?format={name}" for name in ("jsonl", "csv", "txt", "md", "parquet", "openai-finetune")]
    + [f"?format=jsonl&q={CANARY}", "?format=jsonl&project=theirs"],
    "/v1/chat/completions": ["", f"?model=model-{CANARY}"],
}
TAIL = "/api/tail"


@pytest.fixture
async def projects(console):
    return await two_projects(console)


@pytest.fixture
async def reader(console, projects):
    headers = {"Authorization": f"Bearer {projects.read_token}"}
    async with httpx.AsyncClient(base_url=console.url, headers=headers) as client:
        yield client


async def routes(console) -> list[tuple[str, str]]:
    paths = (await console.get("/openapi.json")).json()["paths"]
    return [(method, path) for path, methods in paths.items() for method in METHODS if method in methods]


def is_whole_record(path: str) -> bool:
    return path in WHOLE_RECORD or path.startswith("/api/erasures")


async def test_every_route_is_asked_for_another_projects_exchanges_and_gives_none(console, projects, reader):
    asked = 0
    for method, path in await routes(console):
        if path in TOKENLESS_PATHS or path == TAIL:
            continue
        if method != "get" or is_whole_record(path):
            url = PLACE.sub(lambda found: projects.mine.get(found[1], str(uuid.UUID(int=7))), path)
            refused = await reader.request(method, url, json={})
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "read_token"), path
        elif "{" in path:
            await asked_by_id(console, reader, projects, path)
        else:
            assert path in LISTS, f"say here how {path} is asked for another project's exchanges"
            await asked_as_list(console, reader, projects, path)
        asked += 1
    assert asked >= 15


async def asked_by_id(console, reader, projects, path: str) -> None:
    def url(ids: dict[str, str]) -> str:
        return PLACE.sub(lambda found: ids[found[1]], path)

    assert (await console.get(url(projects.theirs))).status_code == 200, path
    assert (await reader.get(url(projects.mine))).status_code == 200, path
    theirs, nothing = await reader.get(url(projects.theirs)), await reader.get(url(nobody()))
    assert theirs.status_code == nothing.status_code == 404, path

    def unnamed(answer: httpx.Response, ids: dict[str, str]) -> str:
        text = answer.text
        for each in ids.values():
            text = text.replace(each, "ID")
        return text

    assert unnamed(theirs, projects.theirs) == unnamed(nothing, nobody()), path
    if "completion_id" in path or "response_id" in path:
        by_own_id = PLACE.sub(projects.theirs["exchange_id"], path)
        assert (await reader.get(by_own_id)).status_code == 404, path


async def asked_as_list(console, reader, projects, path: str) -> None:
    seen = 0
    for query in LISTS[path]:
        query = query.replace("THEIRS", projects.theirs["exchange_id"])
        url = path + query.replace("CONVERSATION", projects.theirs["conversation_id"])
        told = await reader.get(url)
        assert told.status_code in (200, 400), (url, told.text)
        assert all(said.encode() not in told.content for said in (CANARY, "c0c0c0c0", "theirs")) or (
            told.status_code == 400
        ), url
        assert b'"total":0' in told.content or "count=true" not in url
        whole = await console.get(url)
        seen += CANARY.encode() in whole.content
    assert seen, f"{path}: not even the console's own token finds the canary"


async def test_the_tail_of_a_project_has_no_other_projects_exchanges(console, projects, reader):
    async def heard(client: httpx.AsyncClient, wanted: bytes) -> bytes:
        begin = {"Last-Event-ID": f"0-{uuid.UUID(int=0)}"}
        data = b""
        async with client.stream("GET", TAIL, headers=begin) as answer:
            assert answer.status_code == 200
            async for piece in answer.aiter_bytes():
                data += piece
                if data.count(wanted) >= 4:
                    return data
        raise AssertionError(data)

    async with asyncio.timeout(15):
        assert CANARY.encode() in await heard(console.client, b'"project":"theirs"')
        mine = await heard(reader, b'"project":"mine"')
    assert CANARY.encode() not in mine and b"theirs" not in mine


async def test_a_tail_ends_when_its_token_is_revoked(console, projects, reader, monkeypatch):
    monkeypatch.setattr("app.api.tail.HEARTBEAT_SECONDS", 0.2)
    data = b""
    async with asyncio.timeout(15):
        with pytest.raises(httpx.RemoteProtocolError):
            async with reader.stream("GET", TAIL) as answer:
                async for piece in answer.aiter_bytes():
                    data += piece
                    if data.count(b"nothing new") == 1:
                        [token] = (await console.get("/api/tokens")).json()["data"]
                        assert (await console.client.delete(f"/api/tokens/{token['id']}")).status_code == 200
    assert b"nothing new" in data
    assert (await reader.get(TAIL)).status_code == 401


async def test_a_project_that_is_not_there_yet_has_nothing(console, projects):
    made = await console.client.post("/api/tokens", json={"project": "later"})
    headers = {"Authorization": f"Bearer {made.json()['token']}"}
    assert (await console.get("/api/exchanges", headers=headers)).json()["data"] == []
    stats = (await console.get("/api/stats?group_by=model", headers=headers)).json()
    assert stats["data"] == []


async def test_an_answer_that_is_whole_comes_whole_though_its_token_was_revoked_meanwhile(console, projects):
    sent = []

    async def send(message):
        sent.append(message)

    class Revoked:
        async def project_of(self, _token_sha256):
            return None

    sender = Sender(send, Revoked(), Grant("mine", b"x"))
    await sender.send({"type": "http.response.start", "status": 200, "headers": []})
    await sender.send({"type": "http.response.body", "body": b"whole"})
    assert len(sent) == 2
    with pytest.raises(RevokedError):
        await sender.send({"type": "http.response.body", "body": b"a piece", "more_body": True})
    assert len(sent) == 2


async def test_a_token_is_kept_as_its_hash_shown_once_and_good_until_it_is_revoked(
    console, projects, reader, postgres_server, database_url
):
    listed = (await console.get("/api/tokens")).json()["data"]
    assert [(each["project"], each["name"]) for each in listed] == [("mine", "a test")]
    kept = postgres_server.psql(database_url, "SELECT t::text FROM read_tokens t")
    assert projects.read_token not in kept and projects.read_token not in str(listed)
    assert (await reader.get("/api/exchanges")).status_code == 200
    revoked = await console.client.delete(f"/api/tokens/{listed[0]['id']}")
    assert revoked.json() == {"object": "token.revoked", "id": listed[0]["id"], "revoked": True}
    assert (await reader.get("/api/exchanges")).status_code == 401
    again = await console.client.delete(f"/api/tokens/{listed[0]['id']}")
    assert again.status_code == 404


async def test_another_console_refuses_a_revoked_token_soon(
    console, projects, reader, postgres_server, database_url
):
    assert (await reader.get("/api/exchanges")).status_code == 200
    postgres_server.psql(database_url, "DELETE FROM read_tokens")
    async with asyncio.timeout(KNOWN_SECONDS * 5):
        while (await reader.get("/api/exchanges")).status_code != 401:
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    "wanted",
    [{}, {"project": ""}, {"project": "A"}, {"project": "a\n"}, {"project": "a", "name": "x\x1b[2J"}]
    + [{"project": "a", "write": True}, {"project": 7}, [], "x"],
)
async def test_a_token_for_nothing_is_not_made(console, wanted):
    refused = await console.client.post("/api/tokens", json=wanted)
    assert refused.status_code == 400 and refused.json()["error"]["type"] == "verbatim_error"
    assert (await console.get("/api/tokens")).json()["data"] == []


async def test_the_command_line_makes_lists_and_revokes_tokens(console, projects):
    made = await verbatim(console.url, "token", "create", "--read", "--project", "mine", "--name", "ci")
    assert made.code == 0, made.errors
    token = made.text.strip()
    assert token.startswith("vbr-") and token not in made.errors
    found = await verbatim(console.url, "list", token=token)
    assert found.code == 0 and len(found.text.splitlines()) == 4 and CANARY not in found.text
    listed = await verbatim(console.url, "token", "list", "--table")
    [line] = [each for each in listed.text.splitlines() if each.split()[-1:] == ["ci"]]
    assert (await verbatim(console.url, "token", "revoke", line.split()[0])).code == 0
    refused = await verbatim(console.url, "list", token=token)
    assert (refused.code, "401" in refused.errors) == (1, True)
    assert (await verbatim(console.url, "token", "create", "--project", "mine")).code == 2


async def test_pages_of_other_sites_change_nothing(console):
    host = console.url.removeprefix("http://")
    for headers, status in (
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": f"http://{host}"}, 201),
        ({}, 201),
    ):
        answer = await console.client.post("/api/tokens", json={"project": "p"}, headers=headers)
        assert answer.status_code == status, headers
    assert TOKEN not in (await console.get("/api/tokens")).text
