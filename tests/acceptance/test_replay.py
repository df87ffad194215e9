"""Recorded traffic passes a running Verbatim byte for byte and is read back byte for byte."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.replay.recording import read_recordings
from tests.replay.run import Options, replay

pytestmark = pytest.mark.timeout(300)


def silent(done: int, total: int, what: str) -> None:
    """No progress bar in tests."""


def made_up(folder: Path, count: int = 60) -> Path:
    """Recordings with bodies that are hard on a proxy: every byte value, long lines, cuts in mid-character, codings."""
    chance = random.Random(3)
    bodies = [
        '{"choices": [{"message": {"content": "héé 世界 \\u0000 \\ud800"}}]}',
        "data: a\r\n\r\ndata: b\n\ndata: c\r\r: comment\n\ndata: [DONE]\n\n",
        "x" * 70_000,
        "",
        "\ufeffdata: 1\n\n" + "é" * 999,
    ]
    file = folder / "made-up.jsonl"
    with file.open("w") as lines:
        for number in range(count):
            coding = chance.choice(["", "gzip", "br", "zstd", "unknown"])
            is_sse = number % 3 == 0
            pair = {
                "method": chance.choice(["POST", "POST", "GET", "DELETE", "HEAD", "PUT"]),
                "url": f"https://h{chance.choice(['/v1', '/openai/v1'])}/files/{number}%2Fa:b?limit={number}&x=%20",
                "request_headers": [
                    ["X-A", "1"],
                    ["x-a", "2"],
                    ["Authorization", "Bearer sk-canary-0123456789"],
                ],
                "request_body": chance.choice([*bodies, None]),
                "status": chance.choice([200, 200, 201, 204, 304, 400, 429, 500, 503]),
                "response_headers": [["Set-Cookie", "a"], ["Set-Cookie", "b"], ["X-Odd", "é"]]
                + ([["Content-Encoding", coding]] if coding else [])
                + ([["Transfer-Encoding", "chunked"]] if number % 2 else []),
                "response_body": chance.choice(bodies),
                "is_sse": is_sse,
            }
            lines.write(json.dumps(pair) + "\n")
    return file


@pytest.mark.parametrize("splits", ["random", "whole"])
async def test_made_up_recordings_are_exact_on_the_wire_and_in_the_record(tmp_path, splits):
    recordings = read_recordings(made_up(tmp_path))
    report = await replay(recordings, Options(splits), tmp_path, silent)
    assert report.differences == []
    assert report.is_exact


async def test_answers_that_come_byte_by_byte_are_exact(tmp_path):
    recordings = [each for each in read_recordings(made_up(tmp_path)) if len(each.response_body) < 5000]
    report = await replay(recordings, Options("bytes"), tmp_path, silent)
    assert report.differences == []
    assert report.is_exact
