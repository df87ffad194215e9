"""The real product in processes of its own: `verbatim serve` on free ports and a data directory of the test's."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.store.database.cluster import FALLBACK_ROOT, path_digest

START_SECONDS = 60.0
STOP_SECONDS = 60.0


@dataclass
class Product:
    """A running `verbatim serve` (or one of its parts)."""

    process: asyncio.subprocess.Process
    port: int
    console_port: int
    data_dir: Path
    log: Path

    @property
    def proxy_url(self) -> str:
        """Base URL of the proxy's listener."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def console_url(self) -> str:
        """Base URL of the console."""
        return f"http://127.0.0.1:{self.console_port}"

    @property
    def token(self) -> str:
        """The console's token."""
        return (self.data_dir / "console-token").read_text().strip()

    def get(self, path: str) -> bytes:
        """GET on the console with the token; raises HTTPError."""
        request = urllib.request.Request(
            self.console_url + path, headers={"Authorization": f"Bearer {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    async def get_json(self, path: str) -> Any:
        """The same off the event loop, parsed."""
        return json.loads(await asyncio.to_thread(self.get, path))

    async def exchanges(
        self, count: int, query: str = "", within_seconds: float = 30.0
    ) -> list[dict[str, Any]]:
        """All exchanges, newest first, once there are at least `count`; raises TimeoutError with what there was."""
        deadline = time.monotonic() + within_seconds
        while True:
            found = await self._all_exchanges(query)
            if len(found) >= count:
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{len(found)} of {count} exchanges after {within_seconds} s; log: {self.tail()}"
                )
            await asyncio.sleep(0.05)

    async def _all_exchanges(self, query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            try:
                page = await self.get_json(f"/api/exchanges?limit=1000{after}{query}")
            except (urllib.error.URLError, ConnectionError):
                return found
            found += page["data"]
            if not page["has_more"]:
                return found
            after = f"&after={page['last_id']}"

    def tail(self) -> str:
        """The end of the log."""
        return self.log.read_text(errors="replace")[-3000:]

    async def stop(self) -> int:
        """SIGTERM, then the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), STOP_SECONDS)


@asynccontextmanager
async def running_product(
    data_dir: Path,
    *verb: str,
    python: str = sys.executable,
    cwd: Path | None = None,
    wait_for: str = "both",
    **settings: object,
) -> AsyncIterator[Product]:
    """`verbatim serve` (or another verb) that answers /healthz; ended with SIGTERM, with SIGKILL if that fails."""
    port, console_port = free_port(), free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VERBATIM_")}
    environment |= {
        "VERBATIM_PORT": str(port),
        "VERBATIM_CONSOLE_PORT": str(console_port),
        "VERBATIM_DATA_DIR": str(data_dir),
        **{f"VERBATIM_{name.upper()}": str(value) for name, value in settings.items()},
    }
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir.parent / f"{data_dir.name}.log"
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            python, "-m", "app", *(verb or ("serve",)), env=environment, stdout=output, stderr=output, cwd=cwd
        )
    product = Product(process, port, console_port, data_dir, log)
    try:
        if wait_for in ("both", "proxy"):
            await _until_healthy(product, port)
        if wait_for in ("both", "console"):
            await _until_healthy(product, console_port)
        yield product
    finally:
        try:
            await product.stop()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            _remove_cluster(data_dir)


def _remove_cluster(data_dir: Path) -> None:
    """Removes a cluster that went elsewhere, as root's does where the data directory is closed to others."""
    for each in FALLBACK_ROOT.glob(f"pg*-{path_digest(data_dir)}*"):
        if each.is_dir():
            shutil.rmtree(each, ignore_errors=True)
        else:
            each.unlink()


async def _until_healthy(product: Product, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if product.process.returncode is not None:
            raise RuntimeError(f"verbatim ended with {product.process.returncode}: {product.tail()}")
        try:
            await asyncio.to_thread(
                urllib.request.urlopen, f"http://127.0.0.1:{port}/healthz", None, 5
            )  # the answer closes itself
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            await asyncio.sleep(0.05)
        else:
            return
    raise TimeoutError(f"verbatim did not answer /healthz within {START_SECONDS} s: {product.tail()}")


def free_port() -> int:
    """A port of loopback that nobody listens on right now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
