"""The usual way to put something between clients and an API: FastAPI, httpx and a streamed answer, recording nothing.

`python -m bench.usual PORT UPSTREAM PACED_UPSTREAM` listens on a port of loopback; `/paced/…` goes to the second.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import fastapi
import httpx
import uvicorn
from starlette.background import BackgroundTask
from starlette.responses import StreamingResponse

from bench.payloads import PACED

_BY_HOP = {
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}


def application(upstream: str, paced_upstream: str) -> fastapi.FastAPI:
    """The forwarder."""

    @asynccontextmanager
    async def lifespan(app: fastapi.FastAPI) -> AsyncIterator[None]:
        limits = httpx.Limits(max_connections=1000, max_keepalive_connections=1000)
        async with httpx.AsyncClient(timeout=60, limits=limits) as client:
            app.state.client = client
            yield

    app = fastapi.FastAPI(lifespan=lifespan, openapi_url=None)

    async def forward(request: fastapi.Request, base: str, path: str) -> StreamingResponse:
        client: httpx.AsyncClient = request.app.state.client
        headers = [(name, value) for name, value in request.headers.items() if name not in _BY_HOP]
        call = client.build_request(
            request.method, f"{base}/v1/{path}", headers=headers, content=await request.body()
        )
        answer = await client.send(call, stream=True)
        kept = {name: value for name, value in answer.headers.items() if name not in _BY_HOP}
        return StreamingResponse(
            answer.aiter_raw(), answer.status_code, kept, background=BackgroundTask(answer.aclose)
        )

    @app.post("/v1/{path:path}")
    async def whole(request: fastapi.Request, path: str) -> StreamingResponse:
        return await forward(request, upstream, path)

    @app.post(f"/{PACED}/v1/{{path:path}}")
    async def paced(request: fastapi.Request, path: str) -> StreamingResponse:
        return await forward(request, paced_upstream, path)

    return app


if __name__ == "__main__":
    # Everything that makes it faster and is installed: uvloop, httptools, no log of calls.
    uvicorn.run(
        application(sys.argv[2], sys.argv[3]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        access_log=False,
    )
