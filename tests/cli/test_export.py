"""`verbatim export`: whole files, cut ones gone on with, what is left out told."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import random

import pyarrow.parquet
import pytest

from app.cli.export_file import Lines, Rows, fill, take_up
from app.errors import ConsoleUnreachableError
from app.export.csv_table import cell
from tests.api.conftest import running_console
from tests.cli.asked import on_terminal, verbatim
from tests.cli.test_asking import HOSTILE, id_of, said, steering
from tests.store.samples import record

IDS = [f"019a0000-0000-7000-8000-{number:012d}" for number in range(40)]
TEXTS = ["a\r\nb" + '"' * (number % 3) for number in range(len(IDS))]
ROWS = [f"{cell(each)},{cell(text)}\r\n".encode() for each, text in zip(IDS, TEXTS, strict=True)]
LINES = [json.dumps({"id": each, "text": "a\nb"}).encode() + b"\n" for each in IDS]


@pytest.fixture
async def console(database_url):
    async with running_console(database_url) as running:
        yield running


async def test_every_format_is_written_to_a_file_and_counted(console, tmp_path):
    await console.ingest.deliver([said(f"q{number}", f"a{number}", number) for number in range(5)])
    for name in ("jsonl", "csv", "txt", "md", "parquet", "openai-finetune"):
        done = await verbatim(console.url, "export", "--format", name, "-o", str(tmp_path / name))
        assert (done.code, done.output) == (0, b""), done.errors
    assert [
        json.loads(line)["messages"][0]["text"] for line in (tmp_path / "jsonl").read_text().splitlines()
    ] == [f"q{number}" for number in range(5)]
    assert len(list(csv.reader(io.StringIO((tmp_path / "csv").read_bytes().decode(), newline="")))) == 6
    assert "a4" in (tmp_path / "txt").read_text()
    assert pyarrow.parquet.read_table(tmp_path / "parquet").num_rows == 5
    examples = [json.loads(line) for line in (tmp_path / "openai-finetune").read_text().splitlines()]
    assert [each["messages"][1]["content"] for each in examples] == [f"a{number}" for number in range(5)]


async def test_what_is_no_example_is_told(console):
    await console.ingest.deliver([said("q", "a"), record(status=500), record(log_mode="metadata")])
    done = await verbatim(console.url, "export", "--format", "openai-finetune", "--limit", "3")
    assert len(done.text.splitlines()) == 1
    assert "1 examples; 2 exchanges are none:" in done.errors
    assert "did not complete" in done.errors


@pytest.mark.parametrize("name", ["jsonl", "csv"])
async def test_a_cut_file_is_gone_on_with_and_an_old_one_is_never_overwritten(console, tmp_path, name):
    sent = [said(f'q"\r\n{number}', "a", number) for number in range(7)]
    await console.ingest.deliver(sent)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    verb = ("export", "--format", name, "-o")
    await verbatim(console.url, *verb, str(whole))
    for size in random.sample(range(len(whole.read_bytes())), 3):
        cut.write_bytes(whole.read_bytes()[:size])
        done = await verbatim(console.url, *verb, str(cut), "--resume")
        assert done.code == 0, done.errors
        assert cut.read_bytes() == whole.read_bytes(), size
    done = await verbatim(console.url, *verb, str(cut))
    assert (done.code, "is there already" in done.errors) == (2, True)
    assert id_of(sent[6]).encode() in cut.read_bytes()


async def test_an_export_to_a_terminal_cannot_steer_it(console):
    await console.ingest.deliver([said(HOSTILE, HOSTILE)])
    for name in ("jsonl", "txt"):
        shown = await on_terminal(console.url, "export", "--format", name)
        assert steering(shown) == []
        assert "evil" in shown


@pytest.mark.parametrize(("make", "parts"), [(Rows, ROWS), (Lines, LINES)])
def test_however_often_it_is_cut_the_file_is_whole(make, parts, tmp_path):
    file = io.BytesIO()
    records = make()

    def pieces(after):
        begin = 0 if after is None else IDS.index(after) + 1
        data = b"".join(parts[begin:])
        end = random.randint(len(parts[begin]) if begin < len(parts) else 0, len(data))
        for at in range(0, end, 7):
            yield data[at : min(at + 7, end)]
        if end < len(data):
            raise ConsoleUnreachableError("cut")

    fill(file, records, pieces, lambda *_: None, 3)
    assert (file.getvalue(), records.count, records.last_id) == (b"".join(parts), len(parts), IDS[-1])
    path = tmp_path / "cut"
    for size in random.sample(range(len(file.getvalue())), 20):
        path.write_bytes(file.getvalue()[:size])
        taken = make()
        take_up(path, taken)
        assert path.read_bytes() == b"".join(parts[: taken.count])


async def test_a_console_that_goes_away_for_good_is_one_line(tmp_path):
    async def cut(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + LINES[0])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    done = await verbatim(url, "export", "-o", str(tmp_path / "x"))
    server.close()
    assert (done.code, done.errors.count("\n")) == (1, 1)
