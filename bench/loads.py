"""The kinds of traffic that are measured. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from bench.payloads import BURST, EVENTS, LARGE, REQUEST_BODY_BYTES, TLS
from bench.payloads import PACED as PACED_UPSTREAM

DIRECT, NGINX, VERBATIM = "direct", "nginx", "Verbatim"
USUAL, LITELLM = "FastAPI + httpx", "LiteLLM"
"""Sides: what is between client and upstream."""
PROXIES = (NGINX, VERBATIM)


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of traffic, the same for each side."""

    name: str
    connections: int = 50
    pause_ms: int = 0
    """Mean pause of each connection before a request; 0: as fast as it goes."""
    upstream: str = ""
    """Name of the upstream; empty for the one of whole answers."""
    body_bytes: int = REQUEST_BODY_BYTES
    units: int = 1
    """What an answer counts for: its chunks, or 1."""
    sides: tuple[str, ...] = PROXIES
    is_held: bool = False
    """Whether the recorder waits while it lasts, for all sides."""

    @property
    def unit(self) -> str:
        """What CPU is told for."""
        return "exchange" if self.units == 1 else "chunk"


MANY = Load("JSON, 50 connections")
STEADY = Load("JSON, 50 connections, paced", pause_ms=20)
ONE = Load("JSON, 1 connection", connections=1)
PACED = Load("SSE, paced", upstream=PACED_UPSTREAM, units=EVENTS, sides=(DIRECT, *PROXIES))
BURSTS = Load("SSE, 100 chunks at once", connections=10, pause_ms=20, upstream=BURST, units=EVENTS)
"""500 streams a second."""
KB_100 = Load("JSON, 100 KB in", connections=10, pause_ms=25, upstream=LARGE, body_bytes=100_000)
"""400 a second, 40 MB."""
MB_1 = Load("JSON, 1 MB in", connections=5, pause_ms=125, upstream=LARGE, body_bytes=1_000_000)
"""40 a second, 40 MB."""
OVER_TLS = Load("JSON, paced, TLS to the upstream", pause_ms=20, upstream=TLS)
LATENCY_ONE = Load("latency, 1 connection", connections=1, sides=(DIRECT, *PROXIES), is_held=True)
LATENCY_STEADY = Load("latency, 1,000 a second", pause_ms=50, sides=(DIRECT, *PROXIES), is_held=True)
COMPARED = (MANY, PACED, STEADY, ONE, OVER_TLS, BURSTS, KB_100, MB_1)
"""Those whose CPU is set beside nginx's, in the order of the page."""
LATENCIES = (LATENCY_ONE, LATENCY_STEADY)
PACES = (OVER_TLS, KB_100, MB_1, BURSTS)
"""Those of which a few windows are enough; all have the same pace for each side."""
