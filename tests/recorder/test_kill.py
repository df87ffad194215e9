from __future__ import annotations

import asyncio
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from tests.recorder.journals import Exchange, Rows, open_writer, write_exchange
from tests.rows import Row

REPOSITORY = Path(__file__).parent.parent.parent


async def start(folder: Path, rows: Rows, point: str = "") -> Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.recorder.recorder_process", str(folder), rows.url, point),
        cwd=REPOSITORY,
        stdout=PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def drain(folder: Path, rows: Rows) -> None:
    """A recorder that is let to finish."""
    process = await start(folder, rows)
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert list(folder.glob("*.seg")) == []


@pytest.mark.row("K2", ci=3, soak=20)
@pytest.mark.parametrize("point", ["in_transaction", "committed", "accounted", "unlinking"])
async def test_a_recorder_killed_at_its_worst_moment_loses_and_doubles_nothing(
    point: str, folder: Path, rows: Rows, row: Row
) -> None:
    writers = [open_writer(folder, slot, segment_bytes=10_000) for slot in range(2)]
    exchanges: list[Exchange] = []
    for _ in row.turns():
        exchanges += [write_exchange(writers[n % 2], answer=b"%d" % n, pieces=2) for n in range(60)]
        process = await start(folder, rows, point)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == -signal.SIGKILL, "it never came to that point"
    for writer in writers:
        writer.close()
    await drain(folder, rows)
    await rows.check(exchanges)
    assert await rows.value("SELECT sum(recorded) FROM segments") == len(exchanges)
    row.tell(**{point: f"{len(exchanges)} exchanges"})


@pytest.mark.row("K2", ci=8, soak=50)
async def test_kill_9_at_any_time_loses_and_doubles_nothing(folder: Path, rows: Rows, row: Row) -> None:
    chance = random.Random(row.times)
    writer = open_writer(folder, segment_bytes=20_000)
    exchanges: list[Exchange] = []
    open_ones: list[Exchange] = []
    for _ in row.turns():
        process = await start(folder, rows)
        last = asyncio.get_running_loop().time() + chance.random() * 0.5
        while asyncio.get_running_loop().time() < last:
            exchanges.append(write_exchange(writer, answer=b"x" * chance.randrange(300), pieces=3))
            if chance.random() < 0.1:
                open_ones.append(Exchange(writer))
                open_ones[-1].ask(b"{}")
                open_ones[-1].head()
            for each in open_ones:
                each.tell(b"t")
            if len(open_ones) > 5:
                open_ones[0].end()
                exchanges.append(open_ones.pop(0))
            await asyncio.sleep(0.002)
        process.kill()
        await process.wait()
    for each in open_ones:
        each.end()
        exchanges.append(each)
    writer.close()
    await drain(folder, rows)
    await rows.check(exchanges)
    await rows.check_accounts(len(exchanges))
    row.tell(any_time=f"{len(exchanges)} exchanges")


@pytest.mark.parametrize("point", ["carry_begun", "carry_copied", "carry_sealed"])
async def test_a_recorder_killed_while_it_carries_loses_and_doubles_nothing(
    point: str, folder: Path, rows: Rows
) -> None:
    writer = open_writer(folder, segment_bytes=4_000)
    streams = []
    for number in range(5):
        streams.append(Exchange(writer))
        streams[-1].ask(b"%d" % number)
        streams[-1].head()
    for number in range(400):
        streams[number % 5].tell(b"piece %d;" % number)
    process = await start(folder, rows, point)
    assert await process.wait() == -signal.SIGKILL
    for stream in streams:
        stream.tell(b"last")
    process = await start(folder, rows, point)
    assert await process.wait() == -signal.SIGKILL
    for stream in streams:
        stream.end()
    writer.close()
    await drain(folder, rows)
    await rows.check(streams)
    for stream in streams:
        assert await rows.answer(stream) == stream.answer
    await rows.check_accounts(5)


async def test_streams_are_carried_and_the_journal_shrinks_while_they_last(folder: Path, rows: Rows) -> None:
    writer = open_writer(folder, segment_bytes=20_000)
    process = await start(folder, rows, "carry")
    stream = Exchange(writer)
    stream.head()
    others = []
    for number in range(300):
        stream.tell(b"piece %d;" % number)
        others.append(write_exchange(writer))
        if number % 50 == 0:
            await asyncio.sleep(0.3)
    await asyncio.sleep(2.5)
    assert len([each for each in folder.glob("*.seg") if "-32767-" not in each.name]) <= 2
    stream.end()
    writer.close()
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    await drain(folder, rows)
    await rows.check([stream, *others])
    assert await rows.answer(stream) == stream.answer
    await rows.check_accounts(301)
