"""Every error in OpenAI's envelope, so that SDKs show it properly."""

from __future__ import annotations

import json
from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.clock import monotonic_ns
from app.errors import StoreError, StoreMisconfiguredError, StoreUnavailableError
from app.store.filters.errors import FilterError
from app.store.search.terms import TermsError
from app.telemetry.logs import EventLogger, event_logger

RETRY_SECONDS = 5
COMPLAINT_NS = 60_000_000_000
_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    500: "internal_error",
    503: "store_unavailable",
}


class ApiError(Exception):
    """An answer that is an error."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "verbatim_error",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code or _CODES.get(status, "error")
        self.param = param
        self.kind = kind
        self.headers = dict(headers or {})


def envelope(error: ApiError) -> bytes:
    """The JSON body of an error."""
    told = {"message": error.message, "type": error.kind, "param": error.param, "code": error.code}
    return json.dumps({"error": told}).encode()


class _Complaints:
    """Says a lasting trouble of the store once a minute, and not once a request."""

    def __init__(self, events: EventLogger) -> None:
        self._events = events
        self._text = ""
        self._due_ns = 0

    def warn(self, text: str) -> None:
        """A warning, unless it was just said."""
        now_ns = monotonic_ns()
        if text != self._text or now_ns >= self._due_ns:
            self._text, self._due_ns = text, now_ns + COMPLAINT_NS
            self._events.warning("store_failed", error=text)


def install_error_answers(application: FastAPI) -> None:
    """Has the application answer all its errors in the envelope."""
    events = event_logger("console")
    complaints = _Complaints(events)

    async def on_api_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return _answer(error)

    async def on_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = str(error.detail)
        if error.status_code == 404:
            message = "There is nothing under this path; /docs lists what there is."
        elif error.status_code == 405:
            message = f"This path does not take {request.method}."
        return _answer(ApiError(error.status_code, message, headers=error.headers, kind=_kind(request)))

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"][1:]) or None
        message = f"{param}: {first['msg']}" if param else str(first["msg"])
        return _answer(ApiError(400, message, param=param, kind=_kind(request)))

    async def on_store_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, StoreError)
        # The detail may name hosts and roles: for the log, not for the wire.
        if isinstance(error, StoreUnavailableError):
            # Not a line a request: the recorder says when the database goes and comes.
            events.debug("store_unavailable", error=str(error))
            return _answer(_away("PostgreSQL cannot be reached right now; nothing is lost, ask again.", None))
        complaints.warn(str(error))
        if isinstance(error, StoreMisconfiguredError):
            message = "PostgreSQL is not yet as Verbatim needs it; `verbatim doctor` says what is missing."
            return _answer(_away(message, "store_misconfigured"))
        return _answer(
            ApiError(500, "The store refused this query; Verbatim's log says why.", code="store_error")
        )

    application.add_exception_handler(ApiError, on_api_error)
    application.add_exception_handler(HTTPException, on_http_error)
    application.add_exception_handler(RequestValidationError, on_invalid)

    _install_query_errors(application)
    application.add_exception_handler(StoreError, on_store_error)


def _kind(request: Request) -> str:
    """The type of an error in what was asked: below /v1/ it is OpenAI's."""
    return "invalid_request_error" if request.url.path.startswith("/v1/") else "verbatim_error"


def _install_query_errors(application: FastAPI) -> None:
    """For questions that cannot be read."""

    async def on_terms_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, TermsError)
        return _answer(ApiError(400, f"q, character {error.position}: {error}.", code="bad_query", param="q"))

    async def on_filter_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, FilterError)
        return _answer(ApiError(400, f"{error}.", code="bad_filter", param=error.param))

    application.add_exception_handler(TermsError, on_terms_error)
    application.add_exception_handler(FilterError, on_filter_error)


def _away(message: str, code: str | None) -> ApiError:
    return ApiError(503, message, code=code, headers={"Retry-After": str(RETRY_SECONDS)})


def _answer(error: ApiError) -> Response:
    return Response(envelope(error), error.status, error.headers, "application/json")
