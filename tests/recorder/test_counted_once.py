"""Nothing is billed twice: what is polled counts on the first exchange that tells its usage, and on no other."""

from __future__ import annotations

import asyncio
import datetime
import json
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from app.clock import utc_now
from app.recorder.prices import Prices
from app.recorder.record import make_record, raw_only
from app.store.database.pool import Pool
from app.store.database.retention import Horizon
from app.store.writing.counted import forget_counted
from app.store.writing.ingest import Ingest
from app.store.writing.record import Record
from tests.postgres import PostgresServer
from tests.recorder.frames import begin_of
from tests.recorder.test_record import transcript_of

Ask = Callable[[str], str]
PRICES = Prices()
COST = "0.0011"  # (80 * 1.25 + 100 * 10.00) / 1000000
USAGE = {
    "input_tokens": 80,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 100,
    "output_tokens_details": {"reasoning_tokens": 64},
    "total_tokens": 180,
}
SUMS = """
SELECT count(*), sum(input_tokens), sum(output_tokens), trim_scale(sum(cost)),
    (SELECT trim_scale(sum(cost)) || ' ' || sum(input_tokens) || ' ' || sum(unpriced) FROM usage_hourly)
FROM exchanges
"""
BILLED_ONCE = f"80|100|{COST}|{COST} 80 0"


def exchange(method: str, path: str, answer: object, asked: object = None, **changes: Any) -> Record:
    """A recorded exchange with these bodies."""
    begin = begin_of(method=method, target=path.encode(), **changes)
    told = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    sent = b"" if asked is None else json.dumps(asked).encode()
    return make_record(transcript_of(begin, request=sent, answer=told), PRICES)


def response(status: str, id: str = "resp_1", **changes: Any) -> dict[str, Any]:
    """A response in the background, as the API shows it."""
    usage = USAGE if status in ("completed", "incomplete", "failed") else None
    return {
        "id": id,
        "object": "response",
        "model": "gpt-5-2025-08-07",
        "background": True,
        "status": status,
        "output": [],
        "usage": usage,
        "service_tier": "default",
        **changes,
    }


def created(**changes: Any) -> Record:
    return exchange(
        "POST", "/v1/responses", response("queued"), {"model": "gpt-5", "background": True}, **changes
    )


def polled(status: str = "completed", **changes: Any) -> Record:
    return exchange("GET", "/v1/responses/resp_1", response(status), **changes)


def resumed() -> Record:
    """`GET ?stream=true&starting_after=3`."""
    event = {"type": "response.completed", "sequence_number": 9, "response": response("completed")}
    body = f"event: response.completed\ndata: {json.dumps(event)}\n\n".encode()
    return exchange("GET", "/v1/responses/resp_1?stream=true&starting_after=3", body)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = Pool(database_url, size=4)
    yield pool
    await pool.close()


@pytest.fixture
def ask(postgres_server: PostgresServer, database_url: str) -> Ask:
    return lambda statement: postgres_server.psql(database_url, statement)


def recorder(pool: Pool, number: int = 1) -> Ingest:
    return Ingest(pool, uuid.UUID(int=number))


async def test_a_background_response_that_is_polled_five_times_is_billed_once(pool: Pool, ask: Ask) -> None:
    batch = [created(), polled("queued"), polled("in_progress"), *(polled() for _ in range(5))]
    await recorder(pool).deliver(batch)
    assert ask(SUMS) == f"8|{BILLED_ONCE}"
    statuses = ask("SELECT cost_status FROM exchanges WHERE usage IS NOT NULL ORDER BY id").split()
    assert statuses == ["priced", "repeated", "repeated", "repeated", "repeated"]
    assert ask("SELECT count(DISTINCT usage) FROM exchanges WHERE usage IS NOT NULL") == "1"
    assert ask("SELECT model FROM usage_hourly WHERE cost > 0") == "gpt-5-2025-08-07"


async def test_polls_that_come_in_batches_of_their_own_are_billed_once(pool: Pool, ask: Ask) -> None:
    for batch in ([created()], [polled()], [polled(), polled()], [resumed()]):
        await recorder(pool).deliver(batch)
    assert ask(SUMS) == f"5|{BILLED_ONCE}"


async def test_a_batch_that_is_delivered_again_bills_nothing_again(pool: Pool, ask: Ask) -> None:
    batch = [created(), polled(), polled(), resumed()]
    for number in (1, 1, 2):
        await recorder(pool, number).deliver(batch)
        assert ask(SUMS) == f"4|{BILLED_ONCE}"


async def test_two_recorders_that_see_the_same_response_end_bill_it_once(pool: Pool, ask: Ask) -> None:
    ids = [f"resp_{number}" for number in range(40)]

    def polls() -> list[Record]:
        return [exchange("GET", f"/v1/responses/{id}", response("completed", id)) for id in ids]

    await asyncio.gather(*(recorder(pool, number).deliver(polls()) for number in range(1, 5)))
    assert (
        ask("SELECT count(*) || ' ' || count(cost) || ' ' || sum(input_tokens) FROM exchanges")
        == "160 40 3200"
    )
    assert ask("SELECT sum(input_tokens) FROM usage_hourly") == "3200"


async def test_a_streamed_background_response_is_billed_by_the_call_that_made_it(
    pool: Pool, ask: Ask
) -> None:
    event = {"type": "response.completed", "sequence_number": 9, "response": response("completed")}
    body = f"event: response.completed\ndata: {json.dumps(event)}\n\n".encode()
    made = exchange("POST", "/v1/responses", body, {"model": "gpt-5", "background": True, "stream": True})
    await recorder(pool).deliver([made])
    await recorder(pool).deliver([polled(), resumed()])
    assert ask(SUMS) == f"3|{BILLED_ONCE}"
    assert ask("SELECT method FROM exchanges WHERE cost IS NOT NULL") == "POST"


async def test_a_response_that_was_not_in_the_background_is_billed_by_its_call_alone(
    pool: Pool, ask: Ask
) -> None:
    done = response("completed", background=False)
    made = exchange("POST", "/v1/responses", done, {"model": "gpt-5"})
    read = [exchange("GET", "/v1/responses/resp_1", done) for _ in range(3)]
    cancelled = exchange("POST", "/v1/responses/resp_1/cancel", done)
    await recorder(pool).deliver([*read, cancelled, made])
    assert ask(SUMS) == f"5|{BILLED_ONCE}"


async def test_cancelling_tells_the_same_usage_as_polling(pool: Pool, ask: Ask) -> None:
    cancelled = exchange("POST", "/v1/responses/resp_1/cancel", response("cancelled", usage=USAGE))
    await recorder(pool).deliver([created(), cancelled, polled()])
    assert ask(SUMS) == f"3|{BILLED_ONCE}"


@pytest.mark.parametrize("mode", ["full", "metadata"])
async def test_recorders_that_keep_less_count_the_same_responses(mode: str, pool: Pool, ask: Ask) -> None:
    await recorder(pool).deliver([created(), polled(mode=mode)])
    await recorder(pool).deliver([polled(mode="metadata"), polled()])
    assert ask(SUMS) == f"4|{BILLED_ONCE}"


async def test_two_projects_and_two_upstreams_are_billed_apart(pool: Pool, ask: Ask) -> None:
    other = "https://acme.openai.azure.com/openai"
    await recorder(pool).deliver(
        [polled(), polled(project="b"), polled(authority=other), polled(project="b")]
    )
    assert ask("SELECT count(cost) FROM exchanges") == "3"


async def test_what_an_erasure_stops_is_not_taken_for_counted(pool: Pool, ask: Ask) -> None:
    await recorder(pool).deliver([exchange("GET", "/v1/models", {})])
    ask(
        "INSERT INTO tombstones (project_id, value_sha256, erasure_id, until) VALUES "
        "((SELECT id FROM projects), sha256('user:ann'), gen_random_uuid(), now() + interval '1 day')"
    )
    await recorder(pool).deliver([polled(user="ann")])
    await recorder(pool).deliver([polled()])
    assert ask("SELECT count(cost) FROM exchanges") == "1"


async def test_what_was_counted_is_forgotten_with_the_exchanges_but_not_before_polls_end(
    pool: Pool, ask: Ask
) -> None:
    await recorder(pool).deliver([polled()])
    now = utc_now()
    for days, horizon, left in (
        (400, Horizon(), 1),
        (80, Horizon(7, 7), 1),
        (91, Horizon(7), 1),
        (91, Horizon(7, 7), 0),
    ):
        await forget_counted(pool, horizon, now + datetime.timedelta(days=days))
        assert ask("SELECT count(*) FROM usage_counted") == str(left)


async def test_a_run_that_is_polled_is_billed_once(pool: Pool, ask: Ask) -> None:
    def run(status: str) -> dict[str, Any]:
        usage = {"prompt_tokens": 123, "completion_tokens": 456, "total_tokens": 579}
        return {
            "id": "run_1",
            "object": "thread.run",
            "model": "gpt-4o",
            "status": status,
            "usage": usage if status == "completed" else None,
        }

    path = "/v1/threads/thread_1/runs"
    batch = [exchange("POST", path, run("queued"), {"assistant_id": "asst_1"})]
    batch += [
        exchange("GET", f"{path}/run_1", run(each)) for each in ("in_progress", "completed", "completed")
    ]
    await recorder(pool).deliver(batch)
    # (123 * 2.50 + 456 * 10.00) / 1000000
    assert ask(SUMS) == "4|123|456|0.0048675|0.0048675 123 0"


async def test_a_batch_job_that_is_polled_is_billed_once_at_half_the_price(pool: Pool, ask: Ask) -> None:
    def job(status: str) -> dict[str, Any]:
        return {
            "id": "batch_1",
            "object": "batch",
            "model": "gpt-5-2025-08-07",
            "status": status,
            "usage": USAGE if status == "completed" else {**USAGE, "input_tokens": 1, "output_tokens": 1},
        }

    batch = [exchange("POST", "/v1/batches", job("validating"), {"input_file_id": "file-1"})]
    for status in ("in_progress", "finalizing", "completed", "completed"):
        batch.append(exchange("GET", "/v1/batches/batch_1", job(status)))
    await recorder(pool).deliver(batch)
    # (80 * 0.625 + 100 * 5.00) / 1000000
    assert ask(SUMS) == "5|80|100|0.00055|0.00055 80 0"


async def test_each_try_of_a_client_that_was_answered_is_billed(pool: Pool, ask: Ask) -> None:
    done = response("completed", background=False)
    tries = [exchange("POST", "/v1/responses", done, {"model": "gpt-5"}) for _ in range(2)]
    refused = exchange("POST", "/v1/responses", {"error": {"message": "overloaded"}}, {"model": "gpt-5"})
    await recorder(pool).deliver([refused, *tries])
    assert ask("SELECT trim_scale(sum(cost)) FROM exchanges") == "0.0022"


async def test_a_record_that_is_kept_raw_counts_nothing(pool: Pool, ask: Ask) -> None:
    await recorder(pool).deliver([raw_only(polled())])
    await recorder(pool).deliver([polled()])
    assert ask(SUMS) == f"2|{BILLED_ONCE}"


async def test_sums_tell_how_many_usages_had_no_price(pool: Pool, ask: Ask) -> None:
    strange = exchange(
        "POST",
        "/v1/responses",
        response("completed", background=False, model="house"),
        {"model": "house"},
        user="ann",
    )
    await recorder(pool).deliver([strange, polled()])
    assert (
        ask("SELECT model, cost, unpriced FROM usage_hourly ORDER BY model")
        == f"gpt-5-2025-08-07|{COST}|0\nhouse|0|1"
    )
    assert ask("SELECT model, cost, unpriced FROM usage_daily_users") == "house|0|1"
