"""`/api/export` over a real socket: every format, any filter, cut and gone on with, whatever is kept."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
import uuid

import pyarrow.parquet
import pytest
import zstandard

from app.api.export import MOST_AT_ONCE
from app.api.exporter import PAGE
from app.api.schemas.exchanges import ExchangeDetail
from app.export import parquet
from app.export.formats import FORMATS
from app.store.reading.query import Query
from app.store.reading.stored import Page
from app.telemetry.tasks import spawn
from tests.store.samples import NOON_NS, record, talk
from tests.store.search.corpus import saying

SECOND_NS = 1_000_000_000


def asked(text: str, **more) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **more}).encode()


def told(text: str, finish_reason: str = "stop") -> bytes:
    message = {"role": "assistant", "content": text}
    return json.dumps(
        {"choices": [{"index": 0, "message": message, "finish_reason": finish_reason}]}
    ).encode()


def exchange(number: int, **changes):
    made = {"response_content_type": "application/json", "at_ns": NOON_NS + number * SECOND_NS}
    return talk(asked(f"question {number}"), told(f"answer {number}"), **{**made, **changes})


async def export(console, query: str, **options) -> str:
    answer = await console.get(f"/api/export?{query}", **options)
    assert answer.status_code == 200, answer.text
    return answer.text


async def lines(console, query: str) -> list[dict]:
    return [json.loads(line) for line in (await export(console, query)).splitlines()]


async def test_each_line_is_what_one_exchange_is_oldest_first(console):
    sent = [exchange(2), exchange(1), record(at_ns=NOON_NS, log_mode="metadata")]
    await console.ingest.deliver(sent)
    found = await lines(console, "format=jsonl")
    assert [each["id"] for each in found] == [str(uuid.UUID(bytes=each.id)) for each in reversed(sent)]
    for line in found:
        ExchangeDetail.model_validate(line, extra="forbid")
        assert line == (await console.get(f"/api/exchanges/{line['id']}")).json()
    assert [m["text"] for m in found[2]["messages"]] == ["question 2", "answer 2"]


async def test_filters_order_and_limit_hold(console):
    await console.ingest.deliver([exchange(number, user="abc"[number % 3]) for number in range(9)])
    found = await lines(console, "format=jsonl&user=b&order=desc&limit=2")
    assert [each["request_preview"] for each in found] == ["Hello", "Hello"]
    assert [each["messages"][0]["text"] for each in found] == ["question 7", "question 4"]


@pytest.mark.parametrize("fmt", ["jsonl", "csv"])
async def test_an_export_goes_on_behind_any_id(console, fmt):
    await console.ingest.deliver([exchange(number) for number in range(2 * PAGE + 3)])
    query = f"format={fmt}&messages=false"
    whole = await export(console, query)
    ids = [each["id"] for each in await lines(console, "format=jsonl&messages=false")]
    assert len(ids) == 2 * PAGE + 3
    cut = (await export(console, f"{query}&limit={PAGE + 1}")) + (
        await export(console, f"{query}&after={ids[PAGE]}")
    )
    assert cut == whole


async def test_csv_rows_are_defused_and_named(console):
    await console.ingest.deliver([exchange(1, user="=1+1", tags={"a": '"b"'})])
    names, values = csv.reader(io.StringIO(await export(console, "format=csv"), newline=""), strict=True)
    row = dict(zip(names, values, strict=True))
    assert (row["user"], row["question"], row["answer"]) == ("'=1+1", "question 1", "answer 1")
    assert json.loads(row["tags"]) == {"a": '"b"'}


@pytest.mark.parametrize("fmt", ["txt", "md"])
async def test_transcripts_are_readable(console, fmt):
    await console.ingest.deliver([exchange(1)])
    shown = await export(console, f"format={fmt}")
    assert shown.index("question 1") < shown.index("answer 1")


async def test_parquet_is_read_back_with_the_same_count(console):
    await console.ingest.deliver([exchange(number) for number in range(PAGE + 1)])
    answer = await console.get("/api/export?format=parquet", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers
    table = pyarrow.parquet.read_table(io.BytesIO(answer.content))
    assert table.num_rows == PAGE + 1
    assert table["answer"][PAGE].as_py() == f"answer {PAGE}"


async def test_examples_for_fine_tuning_and_why_the_rest_is_none(console):
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    sent = [
        exchange(1, response_content_encoding=None),
        talk(asked("x", tools=tools), told("y"), at_ns=NOON_NS + 2 * SECOND_NS),
        talk(asked("x"), told("y", "length"), at_ns=NOON_NS + 3 * SECOND_NS),
        record(at_ns=NOON_NS + 4 * SECOND_NS, log_mode="metadata"),
    ]
    await console.ingest.deliver(sent)
    first, second = await lines(console, "format=openai-finetune")
    assert first == {
        "messages": [{"role": "user", "content": "question 1"}, {"role": "assistant", "content": "answer 1"}]
    }
    assert second["tools"] == tools
    named = await lines(console, "format=openai-finetune&ids=true")
    assert [each["id"] for each in named] == [str(uuid.UUID(bytes=each.id)) for each in sent]
    assert [each.get("left_out") for each in named] == [None, None, "cut", "no_messages"]


async def test_an_export_of_nothing_is_a_whole_file(console):
    for name in FORMATS:
        answer = await console.get(f"/api/export?format={name}&user=nobody")
        assert answer.status_code == 200
        assert 'filename="verbatim.' in answer.headers["content-disposition"]


@pytest.mark.parametrize(("accepted", "coding"), [("gzip", "gzip"), ("gzip, zstd", "zstd"), ("br", None)])
async def test_a_client_says_how_it_is_compressed(console, accepted, coding):
    await console.ingest.deliver([exchange(number) for number in range(5)])
    async with console.client.stream(
        "GET", "/api/export?format=txt", headers={"Accept-Encoding": accepted}
    ) as answer:
        raw = b"".join([piece async for piece in answer.aiter_raw()])
    assert answer.headers.get("content-encoding") == coding
    undone = {"gzip": gzip.decompress, "zstd": zstandard.ZstdDecompressor().decompressobj().decompress}
    assert b"answer 4" in undone.get(coding, bytes)(raw)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("", "format"),
        ("format=xml", "format"),
        ("format=csv&limit=0", "limit"),
        ("format=csv&after=x", "after"),
    ],
)
async def test_what_is_malformed_is_named(console, query, param):
    answer = await console.get(f"/api/export?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_an_export_takes_words(console):
    texts = ["Wo ist die Katze?", "龙猫在哪里？", "Katzen!"]
    await console.ingest.deliver(
        [saying(text, at_ns=NOON_NS + at * SECOND_NS) for at, text in enumerate(texts)]
    )
    for query, count in (("katze", 2), ("龙猫", 1), ("hund", 0)):
        assert len(await lines(console, f"format=jsonl&messages=false&q={query}")) == count
    answer = await console.get('/api/export?format=csv&q="open')
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "q")


async def test_without_pyarrow_the_answer_says_what_to_install(console, monkeypatch):
    monkeypatch.setattr(parquet, "is_installed", lambda: False)
    answer = await console.get("/api/export?format=parquet")
    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "not_installed")
    assert "pip install 'verbatim-proxy[parquet]'" in answer.json()["error"]["message"]


async def test_more_exports_than_may_run_are_told_when_to_come_back(console, monkeypatch):
    await console.ingest.deliver([exchange(1)])
    gate = asyncio.Event()

    async def held(*_):
        await gate.wait()
        return Page([], has_more=False)

    monkeypatch.setattr(Query, "list_exchanges", held)
    running = [spawn(console.get("/api/export?format=csv"), name="export") for _ in range(MOST_AT_ONCE)]
    await asyncio.sleep(1.0)
    answer = await console.get("/api/export?format=csv")
    gate.set()
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
    assert [(await each).status_code for each in running] == [200] * MOST_AT_ONCE
    assert (await console.get("/api/export?format=csv")).status_code == 200


async def test_a_damaged_exchange_is_told_without_messages_and_the_export_goes_on(
    console, postgres_server, database_url
):
    await console.ingest.deliver([exchange(1), exchange(2)])
    postgres_server.psql(
        database_url,
        "UPDATE pieces SET data = '\\x00' WHERE node = (SELECT request_tip FROM transcripts ORDER BY id LIMIT 1)",
    )
    found = await lines(console, "format=jsonl")
    assert [each["messages"] is None for each in found] == [True, False]


async def test_a_cut_of_the_connection_frees_the_slot(console):
    await console.ingest.deliver([exchange(number) for number in range(5)])
    for _ in range(10):
        async with console.client.stream("GET", "/api/export?format=jsonl") as answer:
            assert answer.status_code == 200
