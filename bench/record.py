"""What the product says it accepted, and what its record holds, read over its own interfaces."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

from tests.product import Product

_PAGE = 1000
_SETTLE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Listed:
    """The record as the console lists it."""

    recorded: int
    completed: int


def metric(text: str, name: str) -> float:
    """Sum of a metric's samples in a Prometheus text; 0 where it has none."""
    total = 0.0
    for line in text.splitlines():
        if line.startswith((f"{name} ", f"{name}{{")):
            total += float(line.rpartition(" ")[2])
    return total


async def proxy_metrics(product: Product) -> str:
    """The proxy's metrics as text."""
    return await asyncio.to_thread(_get, f"{product.proxy_url}/metrics")


async def console_metrics(product: Product) -> str:
    """The console's metrics as text."""
    return await asyncio.to_thread(_get, f"{product.console_url}/metrics")


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


async def list_all(product: Product) -> Listed:
    """Pages through all exchanges."""
    ids: set[str] = set()
    completed = 0
    after = ""
    while True:
        page = json.loads(await asyncio.to_thread(product.get, f"/api/exchanges?limit={_PAGE}{after}"))
        for each in page["data"]:
            if each["id"] not in ids:
                ids.add(each["id"])
                completed += each["outcome"] == "completed"
        if not page["has_more"]:
            return Listed(len(ids), completed)
        after = f"&after={page['last_id']}"


async def wait_until_recorded(product: Product, accepted: int, within_seconds: float) -> tuple[Listed, float]:
    """Pages again and again, when the recorder says it is done, until there are as many as were accepted.

    Gives what was there at the end, and how many seconds that took.
    """
    begun = time.monotonic()
    listed = Listed(0, 0)
    while time.monotonic() - begun < within_seconds:
        try:
            lag = metric(await console_metrics(product), "verbatim_recorder_lag_seconds")
            if lag == 0:
                listed = await list_all(product)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            # The console answers again when the database has time for it.
            pass
        if listed.recorded >= accepted:
            return listed, time.monotonic() - begun
        await asyncio.sleep(_SETTLE_SECONDS)
    return await list_all(product), time.monotonic() - begun
