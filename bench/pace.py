"""Records so many exchanges a second in a database, for as long as its standard input is open: what a record is asked
beside.

`python -m bench.pace URL PER_SECOND` prints `ready`. Its exchanges go through a journal and a recorder as all do; what
they say is drawn beforehand, so that drawing takes no time from what is measured.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
from pathlib import Path

from app.clock import new_id, wall_ns
from app.journal.writer import JournalRules, JournalWriter
from app.recorder.process import RecorderOptions, run_recorder
from app.recorder.status import RecorderStatus
from bench.corpus import MODELS, TEAMS, USERS, Language
from bench.frames import Written, write

DRAWN = 4_000
TICKS_A_SECOND = 20
_HEADERS = [(b"content-type", b"application/json"), (b"accept", b"application/json")]


class Talk:
    """Exchanges that differ from each other."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        language = Language(self._chance)
        self._said = [language.message() for _ in range(DRAWN)]
        self._number = 0

    def next(self) -> Written:
        """The next one."""
        self._number += 1
        asked, told = (f"{self._number:x} {self._chance.choice(self._said)}" for _ in range(2))
        model = f"model-{self._chance.randrange(MODELS)}"
        messages = [{"role": "user", "content": asked}]
        request = {"model": model, "messages": messages, "temperature": self._chance.randrange(11) / 10}
        message = {"role": "assistant", "content": told}
        reason = "length" if self._chance.random() < 0.02 else "stop"
        counts = {"prompt_tokens": len(asked) // 4, "completion_tokens": len(told) // 4}
        answer = {
            "object": "chat.completion",
            "id": f"chatcmpl-{self._number:x}",
            "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": reason}],
            "usage": counts | {"total_tokens": sum(counts.values())},
        }
        user = f"user-{self._chance.randrange(USERS)}"
        tags = {"team": self._chance.choice(TEAMS)}
        return Written(
            json.dumps(request).encode(), [json.dumps(answer).encode()], _HEADERS, _HEADERS, user, tags
        )


async def _pace(url: str, per_second: int, folder: Path) -> None:
    stop = asyncio.Event()
    recording = asyncio.create_task(
        run_recorder(RecorderOptions(folder, url, "bench", drain_seconds=5), stop, RecorderStatus())
    )
    writer = JournalWriter(folder, 0, "bench", JournalRules())
    writer.open()
    talk = Talk(3)
    loop = asyncio.get_running_loop()
    ending = loop.run_in_executor(None, sys.stdin.read)
    print("ready", flush=True)
    due = loop.time()
    while not ending.done():
        for _ in range(per_second // TICKS_A_SECOND):
            write(writer, new_id(wall_ns()), talk.next())
        due += 1 / TICKS_A_SECOND
        await asyncio.sleep(max(0.0, due - loop.time()))
    writer.close()
    stop.set()
    await recording


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="verbatim-pace-") as name:
        asyncio.run(_pace(sys.argv[1], int(sys.argv[2]), Path(name)))
