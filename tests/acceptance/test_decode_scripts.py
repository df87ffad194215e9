"""The scripts that judge decoding say what is wrong, and exit by it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
BODY = (
    'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n'
    'data: {"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}\n\n'
    "data: [DONE]\n\n"
)


def run(script: str, *arguments: object) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, REPOSITORY / "scripts" / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout


def recordings(folder: Path, **changes: object) -> Path:
    """One recorded stream, and an upgrade that is passed over."""
    choice = {"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}
    merged = {"id": "c", "model": "m", "choices": [choice]}
    folded = {"kind": "chat", "merged": merged, "usage": {"prompt_tokens": 1}, "error_event": None}
    pair = {
        "method": "POST",
        "url": "https://api.openai.com/v1/chat/completions",
        "request_headers": [["content-type", "application/json"]],
        "request_body": '{"model":"m","messages":[]}',
        "status": 200,
        "response_headers": [["content-type", "text/event-stream"], ["content-encoding", "gzip"]],
        "response_body": BODY,
        "is_sse": True,
        "folded": {**folded, **changes},
    }
    file = folder / "recordings.jsonl"
    file.write_text(json.dumps(pair) + "\n" + json.dumps({**pair, "status": 101}) + "\n")
    return file


def test_streams_that_fold_alike_agree(tmp_path: Path) -> None:
    code, said = run("replay-recordings", recordings(tmp_path), "--decode")
    assert (code, said.splitlines()[0]) == (
        0,
        "1 recordings decoded: 1 of 1 folded streams agree, 0 of 0 whole answers, 0 differences",
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"merged": {"id": "c", "model": "m", "choices": []}}, "said"),
        ({"usage": {"prompt_tokens": 2}}, "used"),
        ({"error_event": {"message": "x"}}, "error"),
    ],
    ids=["text", "usage", "error"],
)
def test_a_difference_is_told_with_its_line(tmp_path: Path, changes: dict, told: str) -> None:
    code, said = run("replay-recordings", recordings(tmp_path, **changes), "--decode")
    assert code == 1
    assert "line 1 POST https://api.openai.com/v1/chat/completions: " in said
    assert told in said


def test_damaged_exchanges_are_decoded_as_many_as_asked_for(tmp_path: Path) -> None:
    code, said = run("mutate-decode", 600, "--recordings", recordings(tmp_path), "--processes", 2)
    assert code == 0
    assert said.startswith("600 inputs, 0 problems")
