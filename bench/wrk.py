"""wrk, with a script that sends our bytes and tells what it did as one line of JSON."""

from __future__ import annotations

import asyncio
import json
import string
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.payloads import COUNTER_DIGITS

_PLAIN = frozenset(string.ascii_letters + string.digits + " ")
"""What a Lua literal holds as it is."""
_MARK = "VERBATIM-BENCH "
_SCRIPT = """
local before = %(before)s
local after = %(after)s
sent = %(start)d
local format = string.format
local threads = {}
function setup(thread) table.insert(threads, thread) end
function request()
  sent = sent + 1
  return before .. format("%%0%(digits)dd", sent) .. after
end
%(delay)sfunction done(summary, latency, requests)
  local total = 0
  for _, thread in ipairs(threads) do total = total + thread:get("sent") - %(start)d end
  local e = summary.errors
  io.write(format('%(mark)s{"sent":%%d,"answered":%%d,"seconds":%%.6f,"errors":%%d,"p50_us":%%d,"p99_us":%%d}\\n',
    total, summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""

_DELAY = "function delay() return math.random(%d, %d) end\n"


@dataclass(frozen=True, slots=True)
class WrkResult:
    """One run of wrk."""

    sent: int
    """Requests that were begun; when time is up, those under way (one a connection at most) are given up."""
    answered: int
    seconds: float
    errors: int
    p50_us: int
    p99_us: int

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds


def version(wrk: str) -> str:
    """`4.1.0` as far as wrk says."""
    said = subprocess.run([wrk, "-v"], capture_output=True, text=True, check=False)
    words = (said.stdout + said.stderr).split()
    return words[1] if len(words) > 1 else "unknown"


def lua_string(data: bytes) -> str:
    """Bytes as a Lua literal."""
    return '"' + "".join(chr(each) if chr(each) in _PLAIN else f"\\{each:03d}" for each in data) + '"'


def script(parts: tuple[bytes, bytes], start: int, pause_ms: int = 0) -> str:
    """The script for requests numbered from start + 1; each connection pauses before a request, on average as said."""
    return _SCRIPT % {
        "before": lua_string(parts[0]),
        "after": lua_string(parts[1]),
        "start": start,
        "digits": COUNTER_DIGITS,
        "mark": _MARK,
        "delay": _DELAY % (pause_ms // 2, pause_ms + pause_ms // 2) if pause_ms else "",
    }


def parse(output: str) -> WrkResult:
    """What the script told; raises ValueError where it told nothing."""
    for line in output.splitlines():
        if line.startswith(_MARK):
            return WrkResult(**json.loads(line.removeprefix(_MARK)))
    raise ValueError(f"wrk told nothing: {output.strip()[-300:]}")


async def run(
    wrk: str,
    folder: Path,
    port: int,
    parts: tuple[bytes, bytes],
    *,
    connections: int,
    seconds: int,
    start: int,
    pause_ms: int = 0,
) -> WrkResult:
    """One run of whole seconds, one thread; requests are numbered from start + 1."""
    file = folder / "bench.lua"
    file.write_text(script(parts, start, pause_ms))
    process = await asyncio.create_subprocess_exec(
        *(wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(file)),
        f"http://127.0.0.1:{port}/",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), seconds + 20)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return parse(output.decode(errors="replace"))
