"""nginx twice: the proxy beside which Verbatim is measured, and the upstream of whole JSON answers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench import processes
from bench.backlog import BIG_PATH
from bench.payloads import BURST, LARGE, PACED, TLS, answer_body, answer_fields

_START_SECONDS = 10.0
_MANY = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """How much one may take on."""

    workers: int = 1
    connections: int = 4_096
    """Of each worker."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Where an upstream also speaks TLS, and with what: PEM, the key with the certificate."""

    port: int
    certificate: Path


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running nginx."""

    port: int
    worker_pids: list[int]

    @property
    def worker_pid(self) -> int:
        """The worker, where it is one."""
        return self.worker_pids[0]


def version(nginx: str) -> str:
    """`1.22.1`."""
    said = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr
    return said.strip().rpartition("/")[2]


def upstream_server(port: int, big_file: Path, tls: Tls | None = None) -> str:
    """Answers every request with the same JSON, 17 fields, and those for BIG_PATH with the file."""
    also = (
        ""
        if tls is None
        else f"""    listen 127.0.0.1:{tls.port} ssl;
    ssl_certificate {tls.certificate};
    ssl_certificate_key {tls.certificate};
    ssl_protocols TLSv1.3;
"""
    )
    fields = "".join(f"    add_header {name} '{value}';\n" for name, value in answer_fields())
    return f"""
  server {{
    listen 127.0.0.1:{port};
{also}    default_type application/json;
{fields}    location = {BIG_PATH} {{ alias {big_file}; }}
    location / {{ return 200 '{answer_body().decode()}'; }}
  }}
"""


def proxy_server(port: int, json_port: int, paced_port: int, more: str = "") -> str:
    """Passes `/v1/` and `/paced/v1/` on, unbuffered, over kept connections; `more` locations as they are."""
    return f"""
{group("whole", json_port)}{group("paced", paced_port)}  server {{
    listen 127.0.0.1:{port};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_buffering off;
    proxy_read_timeout 60s;
    location /v1/ {{ proxy_pass http://whole; }}
    location /{PACED}/ {{ proxy_pass http://paced/; }}
{more}  }}
"""


def ready_locations() -> str:
    """Passes streams in bursts and large requests on as they come; wants the group `ready`."""
    return f"""    location /{BURST}/ {{ proxy_pass http://ready; }}
    location /{LARGE}/ {{ proxy_pass http://ready; proxy_request_buffering off; }}
"""


def tls_location(ca_file: Path) -> str:
    """Passes on over TLS, the certificate checked; wants the group `tls`."""
    return f"""    location /{TLS}/ {{
      proxy_pass https://tls/;
      proxy_ssl_name localhost;
      proxy_ssl_server_name on;
      proxy_ssl_verify on;
      proxy_ssl_trusted_certificate {ca_file};
      proxy_ssl_protocols TLSv1.3;
    }}
"""


def group(name: str, port: int) -> str:
    """An upstream with kept connections."""
    return f"  upstream {name} {{ server 127.0.0.1:{port}; keepalive 128; keepalive_requests {_MANY}; }}\n"


def configuration(folder: Path, server: str, size: Size) -> str:
    """A whole configuration around one server: no logs, all files in the folder."""
    kept = "".join(
        f"  {kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    return f"""{user}worker_processes {size.workers};
daemon off;
pid {folder}/pid;
error_log {folder}/error.log crit;
events {{ worker_connections {size.connections}; }}
http {{
  access_log off;
  keepalive_requests {_MANY};
  tcp_nodelay on;
  client_max_body_size 0;
{kept}{server}}}
"""


@asynccontextmanager
async def running(
    nginx: str, folder: Path, server: str, port: int, size: Size | None = None
) -> AsyncIterator[Nginx]:
    """Starts one (of one worker), waits until its workers are there, ends it."""
    size = size or Size()
    folder.mkdir(parents=True)
    file = folder / "nginx.conf"
    file.write_text(configuration(folder, server, size))
    output = (folder / "output").open("wb")
    process = await asyncio.create_subprocess_exec(
        nginx,
        "-e",
        str(folder / "error.log"),
        "-p",
        str(folder),
        "-c",
        str(file),
        stdout=output,
        stderr=output,
    )
    output.close()
    try:
        yield Nginx(port, await _workers_of(process, port, folder, size.workers))
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _workers_of(process: asyncio.subprocess.Process, port: int, folder: Path, count: int) -> list[int]:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.returncode is None:
        workers = processes.children(process.pid)
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            if len(workers) == count:
                return list(workers)
        await asyncio.sleep(0.02)
    said = (folder / "output").read_text(errors="replace") + (folder / "error.log").read_text(
        errors="replace"
    )
    raise RuntimeError(f"nginx did not start: {said.strip()[-500:]}")
