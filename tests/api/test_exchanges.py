"""The record over HTTP: lists, one exchange, exact bytes."""

import datetime
import gzip
import uuid

from app.api.schemas.exchanges import ChunkList, ExchangeDetail, ExchangeList
from app.store.writing.record import Usage
from tests.store.samples import NOON_NS, content, record, talk

SECOND = 1_000_000_000


def ids(*records) -> list[str]:
    return [str(uuid.UUID(bytes=each.id)) for each in records]


async def test_a_list_has_every_field_that_the_wire_promises(console):
    await console.ingest.deliver([talk(b'{"a":1}', b"data: x\n\n", user="u1", conversation="c1")])
    answer = await console.get("/api/exchanges")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    page = answer.json()
    assert ExchangeList.model_validate(page, extra="forbid").model_dump(exclude_unset=True) == page
    assert page["object"] == "list"
    assert page["first_id"] == page["last_id"] == page["data"][0]["id"]
    assert page["has_more"] is False
    found = page["data"][0]
    assert (
        found
        | {
            "started_at": "2026-11-18T12:00:00.000000Z",
            "method": "POST",
            "path": "/v1/chat/completions",
            "upstream": "v1",
            "model": "gpt-4o",
            "status": 200,
            "outcome": "completed",
            "stream": True,
            "duration_ms": 1500.0,
            "ttft_ms": 300.0,
            "request_bytes": 7,
            "response_bytes": 9,
            "usage": {
                "input_tokens": 7,
                "cached_tokens": 2,
                "cache_write_tokens": None,
                "output_tokens": 11,
                "reasoning_tokens": 3,
                "total_tokens": 18,
                "input_audio_tokens": None,
                "output_audio_tokens": None,
                "input_image_tokens": None,
                "output_image_tokens": None,
            },
            "cost": None,
            "user": "u1",
            "key": "00112233aabbccdd",
            "project": "default",
            "conversation": "c1",
            "tags": {"team": "blue"},
            "request_preview": "Hello",
            "response_preview": "你好",
            "capture_status": "complete",
        }
        == found
    )


async def test_an_exchange_of_which_nothing_is_known_has_nulls(console):
    bare = record(
        status=None, model=None, key=None, ttft_us=None, usage=Usage(), tags={}, outcome="upstream_failed"
    )
    await console.ingest.deliver([bare])
    page = (await console.get("/api/exchanges")).json()
    ExchangeList.model_validate(page, extra="forbid")
    found = page["data"][0]
    assert [
        found[name] for name in ("status", "model", "key", "ttft_ms", "usage", "user", "request_preview")
    ] == [None] * 7
    assert found["tags"] == {}


async def test_pages_follow_each_other_without_gap_or_repeat_in_both_orders(console):
    records = [record(at_ns=NOON_NS + number * SECOND) for number in range(7)]
    await console.ingest.deliver(records)
    for order in ("desc", "asc"):
        seen, after, more = [], "", True
        while more:
            page = (await console.get(f"/api/exchanges?limit=3&order={order}{after}")).json()
            seen += [each["id"] for each in page["data"]]
            assert page["first_id"] == page["data"][0]["id"]
            after, more = f"&after={page['last_id']}", page["has_more"]
        assert seen == sorted(ids(*records), reverse=order == "desc")


async def test_each_filter_takes_what_it_says(console):
    plain = record()
    odd = record(
        at_ns=NOON_NS + 60 * SECOND,
        model="m2",
        path="/groq/v1/models",
        method="GET",
        upstream="groq",
        status=404,
        outcome="client_left",
        user="u 2",
        key="ffff",
        project="other",
        conversation="c2",
        upstream_id="resp_1",
    )
    await console.ingest.deliver([plain, odd])
    for query in (
        "model=m2",
        "path=/groq/v1/models",
        "method=GET",
        "upstream=groq",
        "status=404",
        "outcome=client_left",
        "user=u+2",
        "key=ffff",
        "project=other",
        "conversation=c2",
        "upstream_id=resp_1",
        "since=2026-11-18T12:00:30Z",
        "since=2026-11-18T13:00:30%2B01:00",
        "since=2026-11-18T13:00:30+01:00",
        "model=m2&status=404",
    ):
        assert await console.ids(f"?{query}") == ids(odd), query
    assert await console.ids("?until=2026-11-18T12:00:30Z") == ids(plain)
    assert await console.ids("?since=2026-11-18&until=2026-11-19") == ids(odd, plain)
    assert await console.ids("?model=m2&status=200") == []
    assert await console.ids("?project=none") == []


WRONG = [
    ("limit=0", "limit"),
    ("limit=1001", "limit"),
    ("limit=x", "limit"),
    ("after=1", "after"),
    ("order=up", "order"),
    ("status=99", "status"),
    ("outcome=good", "outcome"),
    ("since=yesterday", "since"),
    ("since=2026-11-18T12:00:00", "since"),
    ("modle=gpt", "modle"),
    ("q=-text", "q"),
    ("q=%22open", "q"),
    ("model=a&model=b", "model"),
]


async def test_a_wrong_or_unknown_parameter_is_refused_by_name(console):
    for query, param in WRONG:
        answer = await console.get(f"/api/exchanges?{query}")
        assert answer.status_code == 400, query
        error = answer.json()["error"]
        assert error["param"] == param
        assert error["type"] == "verbatim_error"
        assert param in error["message"]


async def test_text_that_postgresql_cannot_hold_finds_nothing_and_breaks_nothing(console):
    await console.ingest.deliver([record()])
    assert await console.ids("?model=%00") == []
    assert (await console.get("/api/exchanges?model=%ED%A0%80")).status_code == 200


async def test_one_exchange_is_shown_with_all_its_columns_and_headers_byte_for_byte(console):
    sent = talk(b"{}", b"data: [DONE]\n\n", query="a=1", reason="shutdown", retry_count=2)
    await console.ingest.deliver([sent])
    answer = await console.get(f"/api/exchanges/{ids(sent)[0]}")
    found = answer.json()
    ExchangeDetail.model_validate(found, extra="forbid")
    assert found["query"] == "a=1"
    assert found["usage_reported"] == {"prompt_tokens": 7}
    assert found["request_sha256"] == (sent.request_sha256 or b"").hex()
    assert found["retry_count"] == 2
    assert found["recorder_id"] == "01890000-0000-7000-8000-000000000001"
    assert found["request_headers"] == [
        ["Content-Type", "application/json"],
        ["X-A", "\xff\x00"],
        ["x-a", "2"],
    ]
    assert found["response_headers"] == [["content-type", "text/event-stream"]]
    assert found["trailers"] == []


async def test_both_bodies_come_back_byte_for_byte_and_are_never_shown_as_pages(console):
    request, response = bytes(range(256)) * 40, gzip.compress(b"<script>alert(1)</script>" * 50)
    sent = talk(
        request,
        response,
        request_content_type="text/html; charset=utf-8",
        response_content_encoding="gzip",
    )
    await console.ingest.deliver([sent])
    base = f"/api/exchanges/{ids(sent)[0]}"
    answer = await console.get(f"{base}/request")
    assert answer.content == request
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-security-policy"].startswith("sandbox")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-verbatim-sha256"] == (sent.request_sha256 or b"").hex()
    answer = await console.get(f"{base}/response")
    assert answer.content == response
    assert "content-encoding" not in answer.headers
    assert answer.headers["x-verbatim-content-encoding"] == "gzip"
    assert answer.headers["x-verbatim-content-type"] == "text/event-stream"
    assert int(answer.headers["content-length"]) == len(response)


async def test_a_body_of_many_slices_is_streamed_whole(console):
    body = b"0123456789abcdef" * (9 << 16)
    sent = talk(body, b"")
    await console.ingest.deliver([sent])
    assert (await console.get(f"/api/exchanges/{ids(sent)[0]}/request")).content == body
    empty = await console.get(f"/api/exchanges/{ids(sent)[0]}/response")
    assert (empty.status_code, empty.content) == (200, b"")


async def test_a_recorded_content_type_cannot_add_a_header(console):
    for hostile in ("text/html\r\nset-cookie: a=b", "téxt/plain", "", " x", "a\x01b", "a\tb"):
        sent = talk(b"1", b"2", response_content_type=hostile)
        await console.ingest.deliver([sent])
        answer = await console.get(f"/api/exchanges/{ids(sent)[0]}/response")
        assert answer.content == b"2"
        assert answer.headers["content-type"] == "application/octet-stream"
        assert "set-cookie" not in answer.headers


async def test_the_times_of_the_pieces_are_told(console):
    sent = talk(b"1", b"22")
    await console.ingest.deliver([sent])
    found = (await console.get(f"/api/exchanges/{ids(sent)[0]}/chunks")).json()
    ChunkList.model_validate(found, extra="forbid")
    assert found["data"][:2] == [
        {"offset_ms": 300.0, "size_bytes": 10},
        {"offset_ms": 300.45, "size_bytes": 20},
    ]


async def test_what_is_not_there_is_a_404_that_says_what(console):
    nobody = uuid.UUID(int=7)
    bare = record(log_mode="metadata", capture_status="metadata")
    await console.ingest.deliver([bare])
    for path in ("", "/request", "/response", "/chunks"):
        answer = await console.get(f"/api/exchanges/{nobody}{path}")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "not_found"
        if path:
            answer = await console.get(f"/api/exchanges/{ids(bare)[0]}{path}")
            assert answer.status_code == 404
            assert answer.json()["error"]["code"] == "not_kept"
            assert "log mode metadata" in answer.json()["error"]["message"]
    shown = (await console.get(f"/api/exchanges/{ids(bare)[0]}")).json()
    assert shown["request_headers"] is shown["trailers"] is None


async def test_an_id_that_is_none_is_refused(console):
    answer = await console.get("/api/exchanges/1")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "exchange_id"


async def test_hostile_text_comes_back_as_it_was(console):
    text = "<script>\u2028\x1b[31m\ud7ff😀\"'\\"
    sent = talk(b"1", b"2", user=text, content=content(b"1", b"2"))
    await console.ingest.deliver([sent])
    page = (await console.get("/api/exchanges", params={"user": text})).json()
    assert page["data"][0]["user"] == text


def test_times_are_utc_whatever_their_zone():
    from app.api.wire import money, time

    zone = datetime.timezone(datetime.timedelta(hours=2))
    assert time(datetime.datetime(2026, 1, 1, 1, 0, tzinfo=zone)) == "2025-12-31T23:00:00.000000Z"
    from decimal import Decimal

    assert money(Decimal("0.00000012")) == "0.00000012"
