"""Erasures over HTTP: asked for, counted, followed, and told in a receipt."""

from __future__ import annotations

import uuid

import httpx
import pytest

from app.api.schemas.erasures import ErasureAnswer, ErasureCount, ErasureList
from app.clock import utc_now
from app.store.database.pool import Pool
from app.store.erasing.reports import Report, Reports
from app.store.erasing.running import Eraser
from app.store.writing.ingest import Heartbeat
from tests.api.conftest import RECORDER, Console
from tests.store.samples import record, talk


def checked(answer: httpx.Response, status: int = 202) -> dict:
    assert answer.status_code == status, answer.text
    told = answer.json()
    assert ErasureAnswer.model_validate(told, extra="forbid").model_dump() == told
    return told


async def erase_all(url: str) -> None:
    pool = Pool(url)
    for _ in range(2):
        await Eraser(pool).run_once()
    await pool.close()


async def test_an_exchange_is_erased_and_its_receipt_names_nobody(
    console: Console, database_url: str
) -> None:
    gone, stays = talk(b"mine", b"answer", user="ann"), talk(b"yours", b"answer")
    await console.ingest.deliver([gone, stays])
    gone_id = str(uuid.UUID(bytes=gone.id))
    answer = await console.client.delete(f"/api/exchanges/{gone_id}")
    told = checked(answer)
    assert (told["status"], told["kind"], told["value"]) == ("erasing", "exchange", gone_id)
    assert answer.headers["location"] == f"/api/erasures/{told['id']}"
    await erase_all(database_url)
    told = checked(await console.get(answer.headers["location"]), 200)
    assert (told["status"], told["value"]) == ("done", None)
    assert told["counts"]["exchanges"] == 1
    assert told["counts"]["pieces"] >= 1
    assert told["counts"]["pieces_kept"] >= 1
    assert await console.ids() == [str(uuid.UUID(bytes=stays.id))]
    assert checked(await console.client.delete(f"/api/exchanges/{gone_id}"))["id"] == told["id"]
    assert (await console.client.delete(f"/api/exchanges/{uuid.UUID(int=1)}")).status_code == 404


async def test_a_dry_run_counts_and_erases_nothing(console: Console, database_url: str) -> None:
    await console.ingest.deliver([talk(b"12345", b"678", user="ann"), talk(b"1", b"2", user="ben")])
    answer = await console.client.post("/api/erasures", json={"user": "ann", "dry_run": True})
    assert answer.status_code == 200
    told = answer.json()
    assert ErasureCount.model_validate(told, extra="forbid").model_dump() == told
    assert (told["exchanges"], told["body_bytes"], told["project"]) == (1, 8, "default")
    await erase_all(database_url)
    assert len(await console.ids()) == 2
    assert (await console.get("/api/erasures")).json()["data"] == []


async def test_erasures_are_listed_the_latest_first(console: Console) -> None:
    await console.ingest.deliver([record(user="ann")])
    asked = [
        checked(await console.client.post("/api/erasures", json=body))
        for body in (
            {"user": "ann", "project": "default"},
            {"key": "00112233aabbccdd", "until": "2026-11-22"},
            {"conversation": "the one", "until": "0001-01-01"},
        )
    ]
    assert asked[2]["until"] == "1969-12-31T23:59:59.999999Z"
    assert asked[1]["until"] == "2026-11-21T23:59:59.999999Z"
    first = (await console.get("/api/erasures?limit=2")).json()
    assert ErasureList.model_validate(first, extra="forbid").model_dump() == first
    assert [each["id"] for each in first["data"]] == [asked[2]["id"], asked[1]["id"]]
    rest = (await console.get(f"/api/erasures?after={first['last_id']}")).json()
    assert ([each["id"] for each in rest["data"]], rest["has_more"]) == ([asked[0]["id"]], False)


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 400, None),
        ({"user": "ann", "key": "k"}, 400, None),
        ({"user": ""}, 400, "user"),
        ({"user": "a\0b"}, 400, "user"),
        ({"users": "ann"}, 400, "users"),
        ({"exchange": "no-uuid"}, 400, "exchange"),
        ({"exchange": str(uuid.UUID(int=1)), "until": "1d"}, 400, "until"),
        ({"user": "ann", "until": "soon"}, 400, "until"),
        ({"user": "ann", "project": "none"}, 404, "project"),
        ({"user": "ann"}, 400, "project"),
        (["user"], 400, None),
    ],
)
async def test_what_cannot_be_erased_is_refused(
    console: Console, body: object, status: int, param: str | None
) -> None:
    await console.ingest.deliver([record(), record(project="other")])
    answer = await console.client.post("/api/erasures", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text
    assert (await console.get("/api/erasures")).json()["data"] == []


async def test_there_is_nothing_to_erase_before_anything_is_recorded(console: Console) -> None:
    answer = await console.client.post("/api/erasures", json={"user": "ann"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "project")
    assert (await console.get(f"/api/erasures/{uuid.UUID(int=1)}")).status_code == 404


async def test_a_live_recorder_that_said_nothing_is_waited_for_and_a_silent_one_is_not(
    console: Console, database_url: str
) -> None:
    await console.ingest.deliver([record(user="ann")])
    await console.ingest.heartbeat(Heartbeat("host-1", "0", utc_now(), 0.0, 0))
    asked = checked(await console.client.post("/api/erasures", json={"user": "ann"}))
    await erase_all(database_url)
    told = checked(await console.get(f"/api/erasures/{asked['id']}"), 200)
    assert told["status"] == "waiting"
    assert [(each["host"], each["live"], each["done_at"]) for each in told["recorders"]] == [
        ("host-1", True, None)
    ]
    pool = Pool(database_url)
    async with pool.transaction() as connection:
        await connection.execute("UPDATE recorders SET last_seen = last_seen - interval '1 hour'")
    told = checked(await console.get(f"/api/erasures/{asked['id']}"), 200)
    assert (told["status"], told["recorders"][0]["live"]) == ("done", False)
    reports = Reports(pool, RECORDER)
    assert [str(each) for each in await reports.wanted()] == [asked["id"]]
    await reports.give([Report(uuid.UUID(asked["id"]), 2, 1)])
    assert await reports.wanted() == []
    await pool.close()
    told = checked(await console.get(f"/api/erasures/{asked['id']}"), 200)["recorders"][0]
    assert (told["quarantined"], told["quarantine_unreadable"]) == (2, 1)
    assert told["done_at"] is not None
