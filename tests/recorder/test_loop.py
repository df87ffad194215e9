from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from app.recorder.process import RecorderOptions
from tests.recorder.conftest import recording, until
from tests.recorder.journals import Rows, open_writer, write_exchange

REPOSITORY = Path(__file__).parent.parent.parent


def options_of(folder: Path, rows: Rows, **changes: object) -> RecorderOptions:
    return RecorderOptions(folder, changes.pop("url", rows.url), "host", **changes)  # type: ignore[arg-type]


def segments(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.glob("*.seg"))


async def test_what_is_written_is_recorded_within_a_second_with_its_exact_bytes(
    folder: Path, rows: Rows
) -> None:
    writer = open_writer(folder)
    async with recording(options_of(folder, rows)) as status:
        await until(lambda: _is(status.is_ready))
        await asyncio.sleep(0.5)
        started = time.monotonic()
        exchange = write_exchange(writer, request=bytes(range(256)) * 9, answer=b"\0\xff\n" * 1_000, pieces=7)
        await until(lambda: _has(rows, 1))
        assert time.monotonic() - started < 1.0
        assert await rows.answer(exchange) == exchange.answer
        assert await rows.request(exchange) == exchange.request
    await rows.check([exchange])
    writer.close()


async def test_a_stopped_recorder_has_drained_the_journal(folder: Path, rows: Rows) -> None:
    writers = [open_writer(folder, slot, segment_bytes=20_000) for slot in range(3)]
    exchanges = [write_exchange(writers[n % 3], answer=b"a%d" % n, pieces=1 + n % 3) for n in range(600)]
    for number in range(30):
        writers[number % 3].skip("off" if number % 2 else "journal_full")
    for writer in writers:
        writer.close()
    async with recording(options_of(folder, rows)):
        pass
    assert segments(folder) == []
    await rows.check(exchanges)
    await check_accounts_per_writer(rows, 210)
    assert await rows.value('SELECT sum("off") FROM segments') == 15
    assert await rows.value("SELECT sum(dropped) FROM segments") == 15


async def check_accounts_per_writer(rows: Rows, accepted_each: int) -> None:
    found = await rows.rows(
        'SELECT boot, slot, sum(recorded + "off" + quarantined + expired + erased + dropped + carried) AS n,'
        " max(last_accept_number) + 1 AS numbers FROM segments GROUP BY boot, slot"
    )
    assert {(row["n"], row["numbers"]) for row in found} == {(accepted_each, accepted_each)}


async def test_segments_are_let_go_while_their_writer_lives(folder: Path, rows: Rows) -> None:
    writer = open_writer(folder, segment_bytes=3_000)
    async with recording(options_of(folder, rows)) as status:
        exchanges = []
        for number in range(40):
            exchanges.append(write_exchange(writer, answer=b"x" * number))
            await asyncio.sleep(0.01)
        await until(lambda: _is(len(segments(folder)) == 1))
        assert status.segments_let_go >= 5
    await rows.check(exchanges)
    writer.close()


async def test_streams_of_a_killed_worker_are_recorded_as_crashed_with_all_their_bytes(
    folder: Path, rows: Rows
) -> None:
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.recorder.writer_process", str(folder), "150", "3"),
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
    )
    assert worker.stdout is not None
    async with recording(options_of(folder, rows)) as status:
        wanted = {}
        while (line := await worker.stdout.readline()) != b"written\n":
            exchange_id, size, digest = line.decode().split()
            wanted[exchange_id] = (int(size), digest)
        await until(lambda: _has(rows, 150))
        assert status.crashed == 0
        worker.kill()
        await worker.wait()
        await until(lambda: _has(rows, 153))
        assert status.crashed == 3
        await until(lambda: _is(segments(folder) == []))
    found = await rows.rows("SELECT * FROM exchanges")
    assert {row["id"].hex: (row["response_bytes"], row["response_sha256"].hex()) for row in found} == wanted
    crashed = [row for row in found if row["outcome"] == "proxy_crashed"]
    assert {(row["reason"], row["accept_number"]) for row in crashed} == {("no_end", n) for n in range(3)}
    assert all(row["duration_us"] > 0 for row in crashed)
    await rows.check_accounts(153)


async def _has(rows: Rows, number: int) -> bool:
    return await rows.count() >= number


async def _is(value: bool) -> bool:
    return value
