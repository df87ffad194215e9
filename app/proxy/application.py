"""The FastAPI application of the proxy's listener: health, metrics, and the plain shell for paths under an upstream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from app.proxy.asgi import ForwardEndpoint
from app.proxy.context import ProxyContext
from app.telemetry.metrics import CONTENT_TYPE


class ProxyApplication:
    """Sends paths under an upstream, chosen by the raw path alone, to the forwarder and all else to FastAPI."""

    def __init__(self, context: ProxyContext, plain: ASGIApp) -> None:
        self._context = context
        self._forward = ForwardEndpoint(context)
        self._plain = plain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        if scope["type"] == "http":
            upstream = self._context.rules.upstream_of(scope.get("raw_path") or scope["path"].encode())
            if upstream is not None:
                await self._forward(scope, receive, send, upstream)
                return
        await self._plain(scope, receive, send)


def create_application(context: ProxyContext, render_metrics: Callable[[], bytes]) -> ProxyApplication:
    """The whole listener as one ASGI application."""
    plain = FastAPI(title="Verbatim proxy", docs_url=None, redoc_url=None, openapi_url=None)

    @plain.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @plain.get("/readyz")
    async def readyz() -> JSONResponse:
        journal_takes = context.journal.admits()
        refuses = context.is_draining or (context.rules.fail_closed and not journal_takes)
        status = "draining" if context.is_draining else "ok"
        degraded: list[Any] = [] if journal_takes else ["journal_full"]
        return JSONResponse({"status": status, "degraded": degraded}, status_code=503 if refuses else 200)

    @plain.get("/metrics")
    async def metrics() -> Response:
        return Response(render_metrics(), media_type=CONTENT_TYPE)

    @plain.exception_handler(HTTPException)
    async def on_http_error(_: Request, error: HTTPException) -> JSONResponse:
        known = ", ".join(f"/{name.decode()}/" for name in context.rules.upstreams)
        message = f"nothing is here; calls go to {known}" if error.status_code == 404 else str(error.detail)
        code = "not_found" if error.status_code == 404 else "bad_request"
        envelope = {"message": message, "type": "verbatim_error", "param": None, "code": code}
        return JSONResponse({"error": envelope}, status_code=error.status_code, headers=error.headers)

    return ProxyApplication(context, plain)
