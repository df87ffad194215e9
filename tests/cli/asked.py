"""The command line as a process, asking a console that runs in the test."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
from dataclasses import dataclass

from tests.api.conftest import TOKEN
from tests.cli.processes import REPOSITORY

COLUMNS = "200"


@dataclass
class Done:
    """How a command ended."""

    code: int
    output: bytes
    errors: str

    @property
    def text(self) -> str:
        return self.output.decode()


async def verbatim(server: str, *arguments: str, token: str | None = TOKEN, **environ: str) -> Done:
    """A verb in a pipe."""
    process = await _start(server, arguments, token, environ, asyncio.subprocess.PIPE)
    output, errors = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode is not None
    return Done(process.returncode, output, errors.decode())


async def on_terminal(server: str, *arguments: str) -> str:
    """What a verb shows on a terminal."""
    ours, theirs = pty.openpty()
    process = await _start(server, arguments, TOKEN, {"TERM": "xterm-256color"}, theirs)
    os.close(theirs)
    shown = await asyncio.wait_for(asyncio.to_thread(_read_all, ours), 20)
    os.close(ours)
    _, errors = await process.communicate()
    assert process.returncode == 0, errors
    return shown.decode()


def _read_all(descriptor: int) -> bytes:
    pieces: list[bytes] = []
    while True:
        try:
            piece = os.read(descriptor, 65536)
        except OSError:  # the other end is closed
            piece = b""
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)


async def _start(server, arguments, token, environ, output) -> asyncio.subprocess.Process:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("VERBATIM_")}
    given = ["--server", server] if server else []
    given += ["--token", token] if token else []
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", *arguments, *given),
        cwd=REPOSITORY,
        env={**clean, "PYTHONPATH": str(REPOSITORY), "COLUMNS": COLUMNS, **environ},
        stdout=output,
        stderr=asyncio.subprocess.PIPE,
    )
